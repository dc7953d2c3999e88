from __future__ import annotations

import asyncio
import threading

import pytest

from mensajeria.desktop.bridge.loop_thread import LoopThread


class Life:
    """A thread whose main coroutine ends when `leave` is posted."""

    def __init__(self) -> None:
        self.failures: list[BaseException] = []
        self.ended = threading.Event()
        self.left = asyncio.Event()
        self.thread = LoopThread(self.main, on_failure=self.failures.append, on_end=self.ended.set)

    async def main(self) -> None:
        await self.left.wait()

    async def leave(self) -> None:
        self.left.set()


def test_coroutines_run_on_the_thread_in_the_order_they_were_posted() -> None:
    life, seen = Life(), []

    async def note(number: int) -> None:
        seen.append((number, threading.current_thread().name))

    life.thread.start()
    for number in range(100):
        life.thread.post(note(number))
    life.thread.post(life.leave())
    assert life.thread.join()
    assert seen == [(number, "client") for number in range(100)]
    assert life.ended.is_set()
    assert not life.thread.alive


def test_what_is_still_running_at_the_end_is_cancelled() -> None:
    life, outcome = Life(), []

    async def endless() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            outcome.append("cancelled")
            raise

    life.thread.start()
    life.thread.post(endless())
    life.thread.post(life.leave())
    assert life.thread.join()
    assert outcome == ["cancelled"]
    assert life.failures == []


def test_what_is_posted_after_the_end_is_dropped_without_a_warning() -> None:
    life = Life()
    life.thread.start()
    life.thread.post(life.leave())
    assert life.thread.join()
    life.thread.post(life.leave())


@pytest.mark.allow_log_errors
def test_an_unforeseen_failure_is_told_and_does_not_end_the_thread() -> None:
    life = Life()

    async def broken() -> None:
        raise ZeroDivisionError

    life.thread.start()
    life.thread.post(broken())
    life.thread.post(life.leave())
    assert life.thread.join()
    assert [type(error) for error in life.failures] == [ZeroDivisionError]


@pytest.mark.allow_log_errors
def test_a_main_that_fails_ends_the_thread_and_says_so() -> None:
    failures: list[BaseException] = []
    ended = threading.Event()

    async def main() -> None:
        raise ZeroDivisionError

    thread = LoopThread(main, on_failure=failures.append, on_end=ended.set)
    thread.start()
    assert thread.join()
    assert ended.is_set()
    assert [type(error) for error in failures] == [ZeroDivisionError]
