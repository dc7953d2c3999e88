"""How long an event loop is kept from its work."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from pathlib import Path
from typing import Final, Self

_TICK: Final = 0.002
_SCHEDSTAT: Final = Path("/proc/thread-self/schedstat")
"""Linux: nanoseconds that a thread ran, and that it waited for a processor."""


class LoopLag:
    """Ticks on the running loop and remembers the longest delay of a tick.

    Where the system tells, what other processes have taken of the processor does not count.
    """

    def __init__(self) -> None:
        self.worst = 0.0
        """The longest time, in seconds, that the loop did not get to run a task that was due."""
        self._task: asyncio.Task[None] | None = None
        self._schedstat: int | None = None

    async def _tick(self) -> None:
        while True:
            before = self._now()
            await asyncio.sleep(_TICK)
            self.worst = max(self.worst, self._now() - before - _TICK)

    def _now(self) -> float:
        if self._schedstat is None:
            return time.perf_counter()
        return time.perf_counter() - int(os.pread(self._schedstat, 100, 0).split()[1]) / 1e9

    async def assert_below(self, seconds: float) -> None:
        """Let the last tick come through, then fail when the loop was ever held for longer than `seconds`."""
        await asyncio.sleep(2 * _TICK)
        assert self.worst < seconds, f"the event loop was held for {self.worst * 1000:.1f} ms"

    def reset(self) -> None:
        """Forget what was measured, e.g. a warm-up."""
        self.worst = 0.0

    async def __aenter__(self) -> Self:
        with contextlib.suppress(OSError):
            self._schedstat = os.open(_SCHEDSTAT, os.O_RDONLY)  # of this thread, whoever reads it
        self._task = asyncio.create_task(self._tick())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._schedstat is not None:
            os.close(self._schedstat)
