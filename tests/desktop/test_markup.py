from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mensajeria.desktop.widgets.markup import MAX_EMOJI, MAX_SHOWN, Style, emoji_only, one_line, parse


def test_marks_are_taken_out() -> None:
    marked = parse("un **negro** y `4.2` en https://osm.org/go/b0Kx9.")
    assert marked.text == "un negro y 4.2 en https://osm.org/go/b0Kx9."
    assert [(marked.text[span.start : span.end], span.style) for span in marked.spans] == [
        ("negro", Style.BOLD),
        ("4.2", Style.CODE),
        ("https://osm.org/go/b0Kx9", Style.LINK),
    ]
    assert marked.spans[2].url == "https://osm.org/go/b0Kx9"


@pytest.mark.parametrize("text", ["a ** b ** c **", "`", "**", "`a\nb`", "javascript:alert(1)", "file:///etc/passwd"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert parse(text).text == text or not any(span.style is Style.LINK for span in parse(text).spans)
    assert not any(span.url for span in parse(text).spans)


@pytest.mark.parametrize(
    ("text", "only"),
    [
        ("🎉", True),
        ("🎉🎉🎉", True),
        ("🎉🎉🎉🎉", False),
        ("❤️", True),
        ("👩‍👩‍👧", True),
        ("🇪🇸", True),
        ("👍🏽", True),
        ("1", False),
        ("a🎉", False),
        ("", False),
    ],
)
def test_emoji_only(text: str, only: bool) -> None:
    assert emoji_only(text) is only


def test_direction_overrides_and_controls_are_dropped() -> None:
    assert parse("a\u202eb\x00c\u2066d\x1b[31m\ne").text == "abcd[31m\ne"


def test_long_texts_and_emoji_walls_are_cut() -> None:
    assert len(parse("x" * 100_000).text) == MAX_SHOWN + 1
    assert len(parse("🎉" * 5000).text) == MAX_EMOJI + 1


def test_previews_are_one_line() -> None:
    assert one_line("a\n\n**b**   c") == "a b c"


@given(st.text(max_size=300))
def test_any_text_gives_spans_inside_it(text: str) -> None:
    marked = parse(text)
    ends = [0, *(edge for span in marked.spans for edge in (span.start, span.end)), len(marked.text)]
    assert ends == sorted(ends)
