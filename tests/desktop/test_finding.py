"""Where in a text what was searched for stands; and that the store finds by the same rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mensajeria.desktop.viewmodels.finding import stretches, words_of


@pytest.mark.parametrize(
    ("sought", "text", "marked"),
    [
        ("tren", "El tren sale a las seis", ["tren"]),
        ("TRÉN", "Trenes y más trenes", ["Tren", "tren"]),
        ("lucia", "Lucía, ¿y Lucía Paz?", ["Lucía", "Lucía"]),
        ("rio", "un escritorio", []),
        ("es tr", "la estación del tren", ["es", "tr"]),
        ("tren bus", "solo el tren", []),
        ("t tren", "tren", ["tren"]),
        ("-", "a - b", []),
        ("fi", "ﬁn", ["ﬁ"]),
        ("a", "🙂 año\u2028alto", ["a", "a"]),
        ("ss", "ßeta", ["ß"]),
    ],
)
def test_words_are_marked_where_they_begin_one(sought: str, text: str, marked: list[str]) -> None:
    assert [text[start:end] for start, end in stretches(text, words_of(sought))] == marked


@given(st.text(max_size=80), st.text(max_size=20))
def test_marks_lie_in_the_text_in_order(text: str, sought: str) -> None:
    found = stretches(text, words_of(sought))
    ends = [0, *(end for _, end in found)]
    assert all(before <= start < end <= len(text) for before, (start, end) in zip(ends, found, strict=False))


def test_no_more_words_than_the_store_takes() -> None:
    assert len(words_of(" ".join(f"w{number}" for number in range(40)))) == 16
