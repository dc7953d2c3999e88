"""QR codes of what people show each other, as modules to draw or as characters for a terminal."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from mensajeria.kit.lazy import LazyModule

if TYPE_CHECKING:
    import segno
else:  # only needed when somebody shows a code
    segno = LazyModule("segno")

LEVEL: Final = "m"
"""What scanners of people's phones manage on a screen with reflections: 15 % of the modules may be wrong."""


def qr_modules(text: str) -> tuple[tuple[bool, ...], ...]:
    """Rows of modules, True = dark, without the quiet zone of four modules that must stand around them."""
    made = segno.make(text, error=LEVEL, micro=False)
    return tuple(tuple(bool(module) for module in row) for row in made.matrix)


def qr_text(text: str) -> str:
    """Lines for a terminal, quiet zone included: two modules a character, light on dark as terminals mostly are."""
    out = io.StringIO()
    segno.make(text, error=LEVEL, micro=False).terminal(out, compact=True)
    return out.getvalue().rstrip("\n")
