"""Read receipts: batched, at most one batch in five seconds; the first of a quiet time leaves at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

EVERY_S: Final = 5.0


@dataclass(slots=True)
class ReadBatcher:
    """Collects the highest row read per chat."""

    _marks: dict[bytes, int] = field(default_factory=dict)
    _last_sent: float = float("-inf")

    def mark(self, chat_id: bytes, seq: int, now: float) -> float:
        """Note a read position. Returns the monotonic time at which `take` has something to send."""
        self._marks[chat_id] = max(seq, self._marks.get(chat_id, 0))
        return max(now, self._last_sent + EVERY_S)

    def take(self, now: float) -> dict[bytes, int]:
        """What to send now: empty before its time, or when there is nothing."""
        if not self._marks or now < self._last_sent + EVERY_S:
            return {}
        marks, self._marks, self._last_sent = self._marks, {}, now
        return marks
