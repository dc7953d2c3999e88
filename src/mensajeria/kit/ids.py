"""Identifiers: time-ordered UUIDs (RFC 9562, version 7) for internal rows, pure chance for everything public."""

from __future__ import annotations

import secrets
import threading
import uuid

from mensajeria.kit.clock import Clock, SystemClock

__all__ = ["Uuid7Generator", "random16", "uuid7", "uuid7_bytes", "uuid7_str"]

_MAX_MS = (1 << 48) - 1
_COUNTER_BITS = 42  # rand_a (12) and the top 30 bits of rand_b: RFC 9562 section 6.2, method 1
_COUNTER_MAX = (1 << _COUNTER_BITS) - 1
_SEED_BITS = _COUNTER_BITS - 1  # the top bit starts at zero, so that the counter has room within one millisecond
_TAIL_BITS = 32


def random16() -> bytes:
    """Return 16 bytes from the system's cryptographic generator: an id that tells nothing about its making."""
    return secrets.token_bytes(16)


class Uuid7Generator:
    """Makes version 7 UUIDs that ascend strictly in the order of the calls, also within one millisecond.

    When the clock goes back, the last time seen is kept and the counter goes on. Safe to share between threads.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._ms = -1
        self._counter = 0

    def __call__(self) -> uuid.UUID:
        """Return the next UUID."""
        with self._lock:
            self._step()
            ms, counter = self._ms, self._counter
        rand_a = counter >> 30
        rand_b = ((counter & 0x3FFF_FFFF) << _TAIL_BITS) | secrets.randbits(_TAIL_BITS)
        return uuid.UUID(int=ms << 80 | 0x7 << 76 | rand_a << 64 | 0b10 << 62 | rand_b)

    def _step(self) -> None:
        now = min(max(self._clock.now_ms(), 0), _MAX_MS)
        if now > self._ms:
            self._ms, self._counter = now, secrets.randbits(_SEED_BITS)
        elif self._counter < _COUNTER_MAX:
            self._counter += 1
        else:  # the counter is used up: borrow from the future rather than repeat
            self._ms, self._counter = self._ms + 1, secrets.randbits(_SEED_BITS)


_generator = Uuid7Generator()


def uuid7() -> uuid.UUID:
    """Return a new version 7 UUID; ascending within this process."""
    return _generator()


def uuid7_bytes() -> bytes:
    """Return a new version 7 UUID as 16 bytes, most significant first, so that byte order is time order."""
    return _generator().bytes


def uuid7_str() -> str:
    """Return a new version 7 UUID in its 36-character form."""
    return str(_generator())
