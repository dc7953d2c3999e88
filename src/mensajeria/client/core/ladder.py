"""When to ask for a missing key, whom, and when to call its messages lost (docs/protocol/e2ee.md §10)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from mensajeria.protocol import limits

DELAYS_MS: Final = (0, 5_000, 30_000, 300_000, 3_600_000)
"""After the first miss; then once an hour."""
LOST_AFTER_MS: Final = 7 * 24 * 3600 * 1000
"""When every source has answered that it cannot help."""
SILENCE_MS: Final = limits.MAILBOX_DAYS * 24 * 3600 * 1000
"""When some source has not answered at all: questions do not live longer in a mailbox."""
ASKED_AT_ONCE: Final = 16
"""Devices of other members that one step asks; the next step goes on with the next ones."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask now; then come back at `next_ms` with `step`."""

    step: int
    next_ms: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The messages of the session are lost."""


@dataclass(frozen=True, slots=True)
class NotYet:
    """The next question is not due."""


def climb(step: int, first_ms: int, next_ms: int, now_ms: int, *, all_answered: bool) -> Ask | GiveUp | NotYet:
    """What to do about a missing session that was first missed at `first_ms` and stands on `step`.

    `all_answered`: everybody who could have it has said that it cannot help.
    """
    if now_ms - first_ms >= (LOST_AFTER_MS if all_answered else SILENCE_MS):
        return GiveUp()
    if now_ms < next_ms:
        return NotYet()
    later = DELAYS_MS[step + 1] if step + 1 < len(DELAYS_MS) else DELAYS_MS[-1]
    return Ask(step + 1, max(now_ms, first_ms + later) if step + 1 < len(DELAYS_MS) else now_ms + later)


def window(devices: Sequence[tuple[T, bytes]], session_id: bytes, step: int) -> list[tuple[T, bytes]]:
    """Which devices (anything, did) to ask on a step: all of a few, a stretch of many that moves from step to step.

    The order depends on the session, so that the questions of a large group spread over its members.
    """
    ranked = sorted(devices, key=lambda device: hashlib.sha256(session_id + device[1]).digest())
    if len(ranked) <= ASKED_AT_ONCE:
        return ranked
    start = (step * ASKED_AT_ONCE) % len(ranked)
    return (ranked + ranked)[start : start + ASKED_AT_ONCE]
