from __future__ import annotations

import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mensajeria.cli.terminal import Ink, hanging, harmless, one_line


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[2J\x1b]0;x\x07", r"\x1b[2J\x1b]0;x\x07"),
        ("a\rb", r"a\x0db"),
        ("\x9b31m", r"\x9b31m"),
        ("abc\u202edcb", r"abc\u{202e}dcb"),
        ("\u2066x\u2069", r"\u{2066}x\u{2069}"),
        ("\ud800", r"\u{d800}"),
        ("👩\u200d🔬 ñandú", "👩\u200d🔬 ñandú"),
    ],
    ids=["escape", "return", "c1", "override", "isolate", "surrogate", "emoji"],
)
def test_nothing_in_a_text_can_steer_the_terminal(hostile: str, shown: str) -> None:
    assert harmless(hostile) == shown


@given(st.text())
def test_any_text_becomes_harmless_and_stays_so(text: str) -> None:
    shown = harmless(text)
    unsafe = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    assert all(char in "\n\t\u200c\u200d" or unicodedata.category(char) not in unsafe for char in shown)
    assert harmless(shown) == shown
    assert len(one_line(text).splitlines()) <= 1


def test_a_message_cannot_pass_for_the_start_of_another() -> None:
    assert hanging("hola\n12:00 ana: falso", "    ") == "hola\n    12:00 ana: falso"


def test_colours_appear_only_on_a_terminal_that_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert Ink(Tty()).bold("x") == "\x1b[1mx\x1b[0m"
    assert Ink(io.StringIO()).bold("x") == "x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert Ink(Tty()).red("x") == "x"
