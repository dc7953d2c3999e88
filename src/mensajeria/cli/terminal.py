"""What reaches a terminal: text from other people made harmless, colours only where a terminal shows them."""

from __future__ import annotations

import os
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing import TextIO

_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_LATIN_1_END: Final = 0xFF
_JOINERS: Final = frozenset("\u200c\u200d")
"""Zero-width (non-)joiners: emoji and several scripts need them, and they move nothing on the screen."""


def harmless(text: str) -> str:
    """``text`` without anything that could steer a terminal or reorder what it shows.

    Control characters (so all escape sequences), direction overrides and unpaired surrogates become visible escapes;
    line breaks and tabs stay.
    """
    return "".join(char if _is_harmless(char) else _escape(char) for char in text)


def one_line(text: str) -> str:
    """``harmless`` on a single line, for names, previews and error sentences."""
    return harmless(text.replace("\r\n", "\n")).replace("\n", " ⏎ ").replace("\t", " ")


def hanging(text: str, indent: str) -> str:
    """``harmless`` with every further line indented, so that no message can pass for the start of another."""
    return harmless(text.replace("\r\n", "\n")).replace("\n", "\n" + indent)


def _is_harmless(char: str) -> bool:
    return char in "\n\t" or char in _JOINERS or unicodedata.category(char) not in _UNSAFE


def _escape(char: str) -> str:
    return f"\\x{ord(char):02x}" if ord(char) <= _LATIN_1_END else f"\\u{{{ord(char):x}}}"


class Ink:
    """Escape sequences for colours and weights; empty where the stream is no terminal or NO_COLOR is set."""

    def __init__(self, stream: TextIO) -> None:
        self.on = stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"

    def bold(self, text: str) -> str:
        """Heavier."""
        return self._paint("1", text)

    def dim(self, text: str) -> str:
        """Lighter."""
        return self._paint("2", text)

    def teal(self, text: str) -> str:
        """The product's accent."""
        return self._paint("36", text)

    def blue(self, text: str) -> str:
        """The second person's colour, and that of read ticks."""
        return self._paint("34", text)

    def green(self, text: str) -> str:
        """Good."""
        return self._paint("32", text)

    def red(self, text: str) -> str:
        """Bad."""
        return self._paint("31", text)

    def yellow(self, text: str) -> str:
        """Worth a look."""
        return self._paint("33", text)

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.on else text
