"""Time as a value that is passed in, so that tests own it."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "FakeClock", "SystemClock"]


class Clock(Protocol):
    """Where a part of the program gets its time from."""

    def now_ms(self) -> int:
        """Wall-clock time: milliseconds since 1970-01-01 UTC. May jump when the system's clock is set."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; never goes back. For timeouts and intervals."""
        ...


class SystemClock:
    """The machine's own clock."""

    __slots__ = ()

    def now_ms(self) -> int:
        """See `Clock.now_ms`."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return time.monotonic()


class FakeClock:
    """A clock that only moves when told to, for tests and simulations.

    Its wall clock can be set apart from its monotonic clock, as a real machine's can.
    """

    __slots__ = ("_now_ms", "_seconds")

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = now_ms
        self._seconds = 0.0

    def now_ms(self) -> int:
        """See `Clock.now_ms`."""
        return self._now_ms

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self._seconds

    def advance(self, seconds: float) -> None:
        """Move both clocks forward; raises ValueError for a negative step."""
        if seconds < 0:
            msg = "time does not go back; use set_wall to set the wall clock"
            raise ValueError(msg)
        self._seconds += seconds
        self._now_ms += round(seconds * 1000)

    def set_wall(self, now_ms: int) -> None:
        """Set the wall clock alone, backwards too, as an operator or NTP may do."""
        self._now_ms = now_ms
