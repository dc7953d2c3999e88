"""Names like a taken one, which the person may like as well. Whether they are free is asked when one is chosen."""

from __future__ import annotations

from typing import Final

_LONGEST: Final = 32
_ENDINGS: Final = ("_", ".es", "1", "2")


def suggestions(handle: str) -> tuple[str, ...]:
    """Two well-formed names near `handle`."""
    made = (f"{handle[: _LONGEST - len(ending)]}{ending}" for ending in _ENDINGS)
    return tuple(name for name in made if name != handle)[:2]
