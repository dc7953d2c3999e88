"""Reads of the same kind that are asked for at the same time, as one query."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class GatheredRead(Generic[K, V]):
    """While one query runs, the next keys gather. No answer comes from a query that began before it was asked for."""

    def __init__(
        self, read: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]], max_keys: int, *, crowd_pause_s: float = 0.0
    ) -> None:
        """`read` gets distinct keys and leaves out those that do not exist.

        `crowd_pause_s`: how long keys gather after a query that was for several. Who asks alone never waits; where
        many ask at once, a query costs more than what one of them adds to it.
        """
        self._read = read
        self._max = max_keys
        self._crowd_pause = crowd_pause_s
        self._waiting: list[tuple[K, asyncio.Future[V | None]]] = []
        self._task: asyncio.Task[None] | None = None

    async def get(self, key: K) -> V | None:
        """The value, or None; raises what the database raises."""
        future: asyncio.Future[V | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, future))
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="gathered-read")
        return await future

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[: self._max], self._waiting[self._max :]
                await self._answer(batch)
                if self._crowd_pause and len(batch) > 1:
                    await asyncio.sleep(self._crowd_pause)
        finally:
            self._task = None

    async def _answer(self, batch: list[tuple[K, asyncio.Future[V | None]]]) -> None:
        keys = list(dict.fromkeys(key for key, _ in batch))
        try:
            found = await self._read(keys)
        except BaseException as error:  # whatever it was belongs to those who wait
            for _, future in batch:
                if not future.done():
                    future.set_exception(error if isinstance(error, Exception) else asyncio.CancelledError())
            if not isinstance(error, Exception):
                raise
            return
        for key, future in batch:
            if not future.done():
                future.set_result(found.get(key))
