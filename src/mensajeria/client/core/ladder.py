"""When to ask for a missing key, and when to call its messages lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DELAYS_MS: Final = (0, 5_000, 30_000, 300_000, 3_600_000)
"""After the first miss; then once an hour."""
LOST_AFTER_MS: Final = 7 * 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask now; then come back at `next_ms` with `step`."""

    step: int
    next_ms: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """A week has passed: the messages of the session are lost."""


@dataclass(frozen=True, slots=True)
class NotYet:
    """The next question is not due."""


def climb(step: int, first_ms: int, next_ms: int, now_ms: int) -> Ask | GiveUp | NotYet:
    """What to do about a missing session that was first missed at `first_ms` and stands on `step`."""
    if now_ms - first_ms >= LOST_AFTER_MS:
        return GiveUp()
    if now_ms < next_ms:
        return NotYet()
    later = DELAYS_MS[step + 1] if step + 1 < len(DELAYS_MS) else DELAYS_MS[-1]
    return Ask(step + 1, max(now_ms, first_ms + later) if step + 1 < len(DELAYS_MS) else now_ms + later)
