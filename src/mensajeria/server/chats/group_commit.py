"""Group commit: what is waiting goes into one flush; while it commits, the next one gathers.

A client that sends several messages sends them one by one: they are read in as many turns of the event loop. A flush
that took the first alone would leave the others to a second one, with a second frame to everybody in the chat. So the
first turn in which nothing more has come begins the flush, or the last of a few.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

import structlog

T = TypeVar("T")
TURNS: Final = 4
"""Turns of the event loop for which a batch may go on filling: tens of microseconds, one when nothing else comes."""
_log = structlog.get_logger(__name__)


class GroupCommit(Generic[T]):
    """A queue and the one task that empties it, batch by batch. Lives in one event loop.

    `flush` settles every item of its batch itself and raises nothing; what it raises all the same is logged.
    """

    def __init__(
        self, name: str, flush: Callable[[list[T]], Awaitable[None]], *, max_items: int, pause_s: float = 0.0
    ) -> None:
        """`pause_s`: how long a batch gathers at least, for work that is cheaper late than often."""
        self._name = name
        self._flush = flush
        self._max = max_items
        self._pause = pause_s
        self._waiting: list[T] = []
        self._wake = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def submit(self, item: T) -> None:
        """Take an item into the next batch."""
        self._waiting.append(item)
        self._wake.set()

    def first(self, items: list[T]) -> None:
        """Put items back at the head of the queue, for the next batch."""
        self._waiting[:0] = items
        self._wake.set()

    def start(self) -> None:
        """Start the task."""
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def close(self) -> None:
        """Flush what is waiting and end the task."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            if self._pause and not self._closing:
                await asyncio.sleep(self._pause)
            await self._fill()
            batch = self._waiting[: self._max]
            del self._waiting[: self._max]
            if batch:
                await self._flush_logged(batch)
            if not self._waiting:
                if self._closing:
                    return
                self._wake.clear()

    async def _fill(self) -> None:
        for _ in range(TURNS):
            count = len(self._waiting)
            await asyncio.sleep(0)
            if len(self._waiting) == count or count >= self._max:
                return

    async def _flush_logged(self, batch: list[T]) -> None:
        try:
            await self._flush(batch)
        except Exception:  # noqa: BLE001 - one bad batch must not stop all that follow
            _log.exception("group_commit_failed", step=self._name, batch=len(batch))
