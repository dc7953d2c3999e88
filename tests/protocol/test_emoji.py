from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mensajeria.protocol import limits
from mensajeria.protocol.emoji import is_emoji


@pytest.mark.parametrize(
    "text",
    [
        "👍",
        "👍🏽",
        "❤️",
        "❤",
        "☕",
        "‼️",
        "©️",
        "↔️",
        "🇪🇸",
        "1️⃣",
        "#⃣",
        "👩‍💻",
        "👩🏽‍💻",
        "👨‍👩‍👧‍👦",
        "🏳️‍🌈",
        "🏴󠁧󠁢󠁥󠁮󠁧󠁿",
        "🧑‍🤝‍🧑",
        "\U0001fae8",
        "\U0001fac6",
    ],
)
def test_emoji_of_every_form(text: str) -> None:
    assert is_emoji(text)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "a", "ñ", "sí", "1", "#", "👍👍", "👍 ", " 👍", "👍a", "a👍", "🇪", "🇪🇸🇫🇷", "\u200d", "👍\u200d",
        "\u200d👍", "\ufe0f", "🏽", "\u202e", "👍\u202e", "\x00", "👍" + "\u200d👍" * 20, "🏴\U000e0067\U000e0062",
        "\ud83d", "👍\ufe0f\ufe0f", "\ufe0f1\u20e3", ".", "!", "漢", "1\ufe0f",
    ],
)  # fmt: skip
def test_everything_else_is_none(text: str) -> None:
    assert not is_emoji(text)


@given(st.text(st.characters(categories=["L", "N", "P", "Z", "C"]), min_size=1))
def test_words_never_pass(text: str) -> None:
    assert not is_emoji(text) or any(0x1F000 <= ord(char) < 0x1FB00 or char in "‼⁉〰〽#*0123456789" for char in text)


@given(st.text())
def test_what_passes_is_short(text: str) -> None:
    if is_emoji(text):
        assert len(text.encode()) <= limits.EMOJI_MAX_BYTES
