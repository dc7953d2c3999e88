"""How long to wait before trying again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FIRST_S: Final = 0.5
CAP_S: Final = 60.0
_LAST_DOUBLING: Final = 7


@dataclass(slots=True)
class Backoff:
    """Doubles from 0.5 s up to 60 s; a random half of each wait, so that clients do not all return at once."""

    attempt: int = 0

    def next_delay(self, chance: float) -> float:
        """Seconds to wait before the next try. `chance` is uniform in [0, 1)."""
        ceiling = min(CAP_S, FIRST_S * float(1 << min(self.attempt + 1, _LAST_DOUBLING)))
        self.attempt += 1
        return max(FIRST_S, ceiling * (0.5 + chance / 2))

    def reset(self) -> None:
        """Start again from the shortest wait."""
        self.attempt = 0
