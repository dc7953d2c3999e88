"""Several brokers that hear each other, of each kind: a process in memory is alone, over Valkey there are many."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from mensajeria.server.broker.broker import Broker, Listener, Note
from mensajeria.server.broker.memory import MemoryBroker
from mensajeria.server.broker.redis import RedisBroker


@dataclass(eq=False)
class Process:
    """A broker and what it has delivered."""

    broker: Broker
    notes: list[Note] = field(default_factory=list)
    flushed: int = 0
    missed: int = 0

    async def start(self) -> None:
        await self.broker.start(Listener(self.notes.append, self._delivered, self._missed))

    def _delivered(self) -> None:
        self.flushed += 1

    def _missed(self) -> None:
        self.missed += 1

    def say(self, *notes: Note) -> None:
        """Publish together."""
        for note in notes:
            self.broker.publish(note)
        self.broker.flush()

    async def until(self, condition: Callable[[Process], bool], seconds: float = 10.0) -> None:
        """Wait until it is so."""
        async with asyncio.timeout(seconds):
            while not condition(self):  # noqa: ASYNC110 - what is looked at sets no event
                await asyncio.sleep(0.005)


@pytest.fixture
def prefix() -> str:
    return f"test:{secrets.token_hex(8)}:"


@pytest.fixture
async def over_valkey(valkey_url: str, prefix: str) -> AsyncIterator[Callable[[], Awaitable[Process]]]:
    """Start one more process."""
    processes: list[Process] = []

    async def begin() -> Process:
        processes.append(Process(RedisBroker(valkey_url, prefix)))
        await processes[-1].start()
        return processes[-1]

    yield begin
    await asyncio.gather(*(one.broker.close() for one in processes))


@pytest.fixture(params=["memory", "valkey"])
async def process(request: pytest.FixtureRequest) -> AsyncIterator[Process]:
    """One process of each kind."""
    url = request.getfixturevalue("valkey_url") if request.param == "valkey" else ""
    one = Process(RedisBroker(url, f"test:{secrets.token_hex(8)}:") if url else MemoryBroker())
    await one.start()
    yield one
    await one.broker.close()
