"""The safety number that two people compare to be sure that nobody stands between them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from mensajeria.protocol.encoding import H

DIGITS: Final = 60
_GROUP: Final = 5


def safety_number(people: Iterable[tuple[bytes, bytes]]) -> str:
    """Twelve groups of five digits from the (uid, idfp) pairs, the same in every order; 60 digits are 199 bits."""
    parts = [part for pair in sorted(set(people)) for part in pair]
    digits = str(int.from_bytes(H("safety-number", *parts), "big") % 10**DIGITS).zfill(DIGITS)
    return " ".join(digits[i : i + _GROUP] for i in range(0, DIGITS, _GROUP))
