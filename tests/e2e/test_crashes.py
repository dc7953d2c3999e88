"""kill -9 of the server, the sender and the receiver in the middle of messages: each is read exactly once, in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from mensajeria.client import Chat, Client
from tests.e2e.conftest import ServerProcess
from tests.e2e.helpers import befriend, eventually, texts

Register = Callable[[str], Awaitable[Client]]
ROOT = Path(__file__).parents[2]
SIZES = [
    pytest.param(150, 2, id="short"),
    pytest.param(
        1000,
        5,
        id="long",
        marks=pytest.mark.skipif(
            "MENSAJERIA_TEST_LONG" not in os.environ, reason="takes minutes: set MENSAJERIA_TEST_LONG=1"
        ),
    ),
]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
LONG = 300.0


async def write(chat: Chat, prefix: str, count: int) -> None:
    for start in range(0, count, 25):
        await asyncio.gather(*(chat.send_text(f"{prefix}{n}") for n in range(start, min(count, start + 25))))
        await asyncio.sleep(0.01)


async def numbered(chat: Chat, prefix: str) -> list[str]:
    return [text for text in await texts(chat) if text.startswith(prefix) and text[len(prefix) :].isdigit()]


@pytest.mark.long
@pytest.mark.parametrize(("count", "kills"), [(1000, 5)])
async def test_the_server_is_killed(register: Register, server: ServerProcess, count: int, kills: int) -> None:
    ana, bruno = await register("ana"), await register("bruno")
    one, two = await befriend(ana, bruno)
    writing = asyncio.gather(write(one, "a", count), write(two, "b", count))
    for _ in range(kills):
        await asyncio.sleep(random.uniform(0.2, 1.0))
        server.kill()
        await asyncio.sleep(random.uniform(0.0, 0.3))
        await asyncio.to_thread(server.start)
        ana.retry_now()
        bruno.retry_now()
    await writing
    for chat, prefix in ((two, "a"), (one, "b")):
        expected = [f"{prefix}{n}" for n in range(count)]

        async def complete(chat: Chat = chat, prefix: str = prefix) -> bool:
            return len(await numbered(chat, prefix)) >= count

        await eventually(complete, LONG)
        assert await numbered(chat, prefix) == expected
    assert await numbered(one, "a") == [f"a{n}" for n in range(count)]
    assert await numbered(two, "b") == [f"b{n}" for n in range(count)]


class Actor:
    """`tests.e2e.actor` in a process of its own."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        command = [sys.executable, "-m", "tests.e2e.actor", *self._arguments]
        self._process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd=ROOT)
        assert await self.line() == "ready"

    async def line(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        async with asyncio.timeout(LONG):
            return (await self._process.stdout.readline()).decode().strip()

    async def kill(self) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGKILL)
        await self._process.wait()


@pytest.mark.parametrize(("count", "kills"), SIZES)
async def test_the_sender_is_killed(register: Register, tmp_path: Path, count: int, kills: int) -> None:
    ana, bruno = await register("ana"), await register("bruno")
    chat, back = await befriend(ana, bruno)
    await ana.close()
    sender = Actor("send", str(tmp_path / "ana"), chat.chat_id.hex(), str(count))
    await sender.start()
    for _ in range(kills):
        await asyncio.sleep(random.uniform(0.1, 0.8))
        await sender.kill()
        await sender.start()
    assert await sender.line() == "done"
    await sender.kill()

    async def complete() -> bool:
        return len(await numbered(back, "")) >= count

    await eventually(complete, LONG)
    assert await numbered(back, "") == [str(n) for n in range(count)]


@pytest.mark.parametrize(("count", "kills"), SIZES)
async def test_the_receiver_is_killed(register: Register, tmp_path: Path, count: int, kills: int) -> None:
    ana, bruno = await register("ana"), await register("bruno")
    chat, _ = await befriend(ana, bruno)
    await bruno.close()
    receiver = Actor("receive", str(tmp_path / "bruno"))
    await receiver.start()
    writing = asyncio.create_task(write(chat, "", count))
    for _ in range(kills):
        await asyncio.sleep(random.uniform(0.1, 0.8))
        await receiver.kill()
        await receiver.start()
    await writing
    await receiver.kill()
    async with await Client.open(tmp_path / "bruno") as again:
        here = again.chat(chat.chat_id)

        async def complete() -> bool:
            return len(await numbered(here, "")) >= count

        await eventually(complete, LONG)
        assert await numbered(here, "") == [str(n) for n in range(count)]
