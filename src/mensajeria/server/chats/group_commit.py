"""Group commit: what is waiting goes into one flush; while it commits, the next one gathers.

Whoever waits for a batch is told of it while the next one is already on its way: the database works meanwhile.

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
Tell = Callable[[], None]
TURNS: Final = 4
"""Turns of the event loop for which a batch may go on filling: tens of microseconds, one when nothing else comes."""
BESIDE: Final = 32
"""Items with which the next flush does not wait until the last batch was told. Fewer are told faster than flushed."""
BEGUN: Final = 2
"""Turns after which a flush that was begun has reached the database: it runs in the first, uvloop writes after it."""
_log = structlog.get_logger(__name__)


class GroupCommit(Generic[T]):
    """A queue and the one task that empties it, batch by batch. Lives in one event loop.

    `flush` stores a batch and returns what tells those who wait for it, if that is left to do; batches are told in
    their order. Both settle every item themselves and raise nothing; what they raise all the same is logged.
    """

    def __init__(
        self, name: str, flush: Callable[[list[T]], Awaitable[Tell | None]], *, max_items: int, pause_s: float = 0.0
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
            await self._flush_waiting()
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

    async def _flush_waiting(self) -> None:
        """Flush a batch, and while many wait, the next ones, each of them beside the telling of the one before."""
        tell = await self._flushed(self._take())
        while tell is not None:
            if len(self._waiting) < BESIDE:
                self._told(tell)
                return
            flushing = asyncio.create_task(self._flushed(self._take()))
            for _ in range(BEGUN):
                await asyncio.sleep(0)
            self._told(tell)
            tell = await flushing

    def _take(self) -> list[T]:
        batch = self._waiting[: self._max]
        del self._waiting[: self._max]
        return batch

    async def _flushed(self, batch: list[T]) -> Tell | None:
        try:
            return await self._flush(batch) if batch else None
        except Exception:  # noqa: BLE001 - one bad batch must not stop all that follow
            _log.exception("group_commit_failed", step=self._name, batch=len(batch))
            return None

    def _told(self, tell: Tell) -> None:
        try:
            tell()
        except Exception:  # noqa: BLE001 - see `_flushed`
            _log.exception("group_commit_failed", step=self._name)
