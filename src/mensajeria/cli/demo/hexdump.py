"""Bytes as people who look into databases know them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTH: Final = 16
_PRINTABLE: Final = range(0x20, 0x7F)


def hexdump(data: bytes, *, lines: int) -> Iterator[str]:
    """Offset, bytes and characters of `data`, at most `lines` lines of 16 bytes."""
    for start in range(0, min(len(data), lines * WIDTH), WIDTH):
        row = data[start : start + WIDTH]
        left, right = row[:8].hex(" "), row[8:].hex(" ")
        characters = "".join(chr(byte) if byte in _PRINTABLE else "·" for byte in row)
        yield f"{start:04x}  {left:<23}  {right:<23}  {characters}"
