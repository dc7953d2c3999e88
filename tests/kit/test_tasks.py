from __future__ import annotations

import asyncio
import gc

import pytest

from mensajeria.kit.tasks import TaskSpawner


async def test_a_task_runs_and_gives_its_result() -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return 42

    async with TaskSpawner("test") as tasks:
        task = tasks.spawn(work(), name="work")
        assert await task == 42
        assert task.get_name() == "test:work"
        assert len(tasks) == 0


async def test_a_task_survives_a_garbage_collection() -> None:
    done = asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0.01)
        done.set()

    async with TaskSpawner("test") as tasks:
        tasks.spawn(work(), name="work")
        gc.collect()
        await asyncio.wait_for(done.wait(), 1)


@pytest.mark.allow_log_errors("background task test:broken failed")
async def test_a_failure_is_logged_and_reported_and_spares_the_others(caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> None:
        raise LookupError("nothing there")

    failures: list[BaseException] = []
    async with TaskSpawner("test", on_failure=failures.append) as tasks:
        other = tasks.spawn(asyncio.sleep(60), name="other")
        tasks.spawn(broken(), name="broken")
        await asyncio.sleep(0.01)
        assert [str(failure) for failure in failures] == ["nothing there"]
        assert not other.done()
    assert "LookupError: nothing there" in caplog.text


async def test_leaving_cancels_and_waits_for_the_clean_up() -> None:
    cleaned: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            cleaned.append("up")

    async with TaskSpawner("test") as tasks:
        task = tasks.spawn(work(), name="work")
        await asyncio.sleep(0)
    assert cleaned == ["up"]
    assert task.cancelled()


async def test_what_a_task_starts_while_it_ends_is_refused_and_closed() -> None:
    async def late(tasks: TaskSpawner) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            with pytest.raises(RuntimeError, match="starts no more tasks"):
                tasks.spawn(asyncio.sleep(60), name="late")  # left open, it would warn "never awaited" and fail here

    tasks = TaskSpawner("test")
    task = tasks.spawn(late(tasks), name="first")
    await asyncio.sleep(0)
    await tasks.aclose()
    await tasks.aclose()
    assert task.cancelled()
    assert len(tasks) == 0


async def test_a_task_may_close_its_own_spawner() -> None:
    tasks = TaskSpawner("test")
    other = tasks.spawn(asyncio.sleep(60), name="other")
    await tasks.spawn(tasks.aclose(), name="closer")
    assert other.cancelled()
