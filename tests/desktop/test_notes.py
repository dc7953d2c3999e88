"""Which messages a person is told of, and in what words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mensajeria.desktop.viewmodels.notes import Arrival, Note, NoteWriter, one_line
from mensajeria.desktop.viewmodels.types import ChatRow, Preferences, Told
from mensajeria.desktop.viewmodels.wording import Wording
from tests.desktop.material import NOW_MS, chat

FULL = Preferences(told=Told.FULL)
CHATS = (chat("c", "Bruno"), chat("g", "Ruta", group=True), chat("d", "Ana"), chat("e", "Eva"))
HOLA = Arrival("c", "bruno", "hola")


@pytest.fixture
def rows() -> dict[str, ChatRow]:
    return {row.chat_id: row for row in CHATS}


@pytest.fixture
def writer(wording: Wording, rows: dict[str, ChatRow]) -> NoteWriter:
    return NoteWriter(wording, rows.get)


@pytest.mark.parametrize(
    ("told", "note"),
    [
        (Told.HIDDEN, Note("c", "MensajeriaApp", "1 mensaje nuevo")),
        (Told.SENDER, Note("c", "Bruno", "1 mensaje nuevo")),
        (Told.FULL, Note("c", "Bruno", "hola")),
    ],
)
def test_a_note_says_what_was_chosen(writer: NoteWriter, told: Told, note: Note) -> None:
    assert writer.notes([HOLA], Preferences(told=told), "") == [note]


def test_nothing_is_said_of_people_and_words_unless_that_was_chosen() -> None:
    assert Preferences().told is Told.HIDDEN


def test_in_a_group_the_author_is_named(writer: NoteWriter) -> None:
    assert writer.notes([Arrival("g", "eva", "voy")], FULL, "") == [Note("g", "Ruta", "eva: voy")]


def test_several_messages_of_a_chat_are_one_note(writer: NoteWriter) -> None:
    assert writer.notes([HOLA, HOLA], FULL, "") == [Note("c", "Bruno", "2 mensajes nuevos")]


def test_many_chats_are_one_note(writer: NoteWriter) -> None:
    came = [HOLA, HOLA, *(Arrival(key, "x", "y") for key in ("d", "e", "g"))]
    assert writer.notes(came, FULL, "") == [Note("", "MensajeriaApp", "5 mensajes nuevos en 4 chats")]


def test_the_chat_in_front_is_not_told(writer: NoteWriter) -> None:
    found = writer.notes([HOLA, Arrival("d", "ana", "eh")], FULL, "c")
    assert [note.chat_id for note in found] == ["d"]


@pytest.mark.parametrize("chosen", [replace(FULL, notify=False), replace(FULL, do_not_disturb=True)])
def test_who_wants_peace_is_told_nothing(writer: NoteWriter, chosen: Preferences) -> None:
    assert writer.notes([HOLA], chosen, "") == []


@pytest.mark.parametrize(("until_ms", "count"), [(NOW_MS + 1, 0), (NOW_MS, 1), (0, 1)])
def test_a_muted_chat_is_told_again_when_the_time_is_over(
    writer: NoteWriter, rows: dict[str, ChatRow], until_ms: int, count: int
) -> None:
    rows["c"] = chat("c", "Bruno", muted_until_ms=until_ms)
    assert len(writer.notes([HOLA], FULL, "")) == count


def test_a_stranger_shows_neither_name_nor_words(writer: NoteWriter, rows: dict[str, ChatRow]) -> None:
    rows["c"] = chat("c", "COMPRA AQUÍ", request=True)
    assert writer.notes([HOLA], FULL, "") == [Note("c", "MensajeriaApp", "Alguien quiere escribirte")]


def test_blocked_and_unknown_chats_are_not_told(writer: NoteWriter, rows: dict[str, ChatRow]) -> None:
    rows["c"] = chat("c", "Bruno", blocked=True)
    assert writer.notes([HOLA, Arrival("?", "x", "y")], FULL, "") == []


@given(st.text(max_size=2000), st.integers(min_value=2, max_value=200))
def test_what_leaves_the_window_is_printable_and_short(text: str, most: int) -> None:
    found = one_line(text, most)
    assert len(found) <= most
    assert found.isprintable() or not found


def test_a_long_text_is_cut_with_an_ellipsis() -> None:
    assert one_line("a\nb\u202e c" + "d" * 300, 10) == "a b cdddd…"
