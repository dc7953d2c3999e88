"""Search inside a chat: by keyboard and pointer, what is asked, where it leads, what is marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PyQt6.QtCore import Qt

from mensajeria.desktop.viewmodels.asking import ChatFound, SearchChat
from tests.desktop.hands import press, write
from tests.desktop.material import chat, incoming, opened, outgoing

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.windows.app_window import AppWindow
    from mensajeria.desktop.windows.chat_pane import ChatPane

TRAINS = (10, 20, 30, 40, 50, 54)
CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def pane(signed_in: AppWindow, session: SessionModel) -> ChatPane:
    """An open chat of 60 messages, some of which speak of a train."""
    session.put_chats([chat("c", "Bruno"), chat("d", "Ana")])
    session.open_chat("c")
    rows = [incoming(at, "el tren" if at in TRAINS else "") if at % 2 == 0 else outgoing(at) for at in range(60)]
    session.put_opened_chat(opened("c", rows, at_start=False))
    return signed_in.main.pane


@pytest.fixture
def asked(session: SessionModel) -> list[SearchChat]:
    made: list[SearchChat] = []
    session.asks.asked.connect(lambda request: made.append(request) if isinstance(request, SearchChat) else None)
    return made


def seek(qtbot: QtBot, pane: ChatPane, session: SessionModel, asked: list[SearchChat], *positions: int) -> None:
    """Type a word and let it be found at these places."""
    press(pane.composer.editor, Qt.Key.Key_F, CONTROL)
    write(pane.search.bar.search.line, "tren")
    qtbot.waitUntil(lambda: bool(asked) and asked[-1].text == "tren", timeout=30_000)
    session.asks.put(ChatFound("c", "tren", positions))


def current(pane: ChatPane) -> int | None:
    """The place whose marks are the strong ones."""
    return pane.timeline.marked[1]


def test_the_newest_result_is_shown_first(
    qtbot: QtBot, pane: ChatPane, session: SessionModel, asked: list[SearchChat]
) -> None:
    seek(qtbot, pane, session, asked, 50, 40, 10)
    assert asked == [SearchChat("c", "tren")]
    assert pane.search.bar.count.text() == "1 de 3"
    assert pane.timeline.marked == (("tren",), 50)


def test_enter_goes_to_older_ones_and_shift_back(
    qtbot: QtBot, pane: ChatPane, session: SessionModel, asked: list[SearchChat]
) -> None:
    seek(qtbot, pane, session, asked, 50, 40, 10)
    line = pane.search.bar.search.line
    press(line, Qt.Key.Key_Return)
    assert (current(pane), pane.search.bar.count.text()) == (40, "2 de 3")
    press(line, Qt.Key.Key_Up)
    press(line, Qt.Key.Key_Up)
    assert current(pane) == 50, "behind the oldest comes the newest"
    press(line, Qt.Key.Key_Return, SHIFT)
    assert current(pane) == 10
    press(line, Qt.Key.Key_Down)
    assert current(pane) == 40


def test_a_result_in_the_window_is_scrolled_to(
    qtbot: QtBot, pane: ChatPane, session: SessionModel, asked: list[SearchChat]
) -> None:
    seek(qtbot, pane, session, asked, 10)
    box = pane.timeline.visualRect(session.timeline.index(session.timeline.find_position(10)))
    viewport = pane.timeline.viewport()
    assert viewport is not None
    assert viewport.rect().contains(box.center())


def test_a_result_beyond_the_window_is_asked_for(
    qtbot: QtBot, pane: ChatPane, session: SessionModel, asked: list[SearchChat]
) -> None:
    wanted: list[tuple[str, object]] = []
    session.messages.jump_requested.connect(lambda chat_id, at: wanted.append((chat_id, at)))
    seek(qtbot, pane, session, asked, 900)
    assert wanted == [("c", 900)]


def test_nothing_found_is_said(qtbot: QtBot, pane: ChatPane, session: SessionModel, asked: list[SearchChat]) -> None:
    seek(qtbot, pane, session, asked)
    bar = pane.search.bar
    assert (bar.count.text(), bar.older.isEnabled()) == ("Sin resultados", False)
    assert bar.search.line.accessibleDescription() == "Sin resultados"


def test_more_than_can_be_shown_is_said(
    qtbot: QtBot, pane: ChatPane, session: SessionModel, asked: list[SearchChat]
) -> None:
    seek(qtbot, pane, session, asked, 50)
    session.asks.put(ChatFound("c", "tren", (50, 40), whole=False))
    assert pane.search.bar.count.text() == "1 de más de 200"


def test_an_answer_about_other_words_or_chats_is_dropped(
    qtbot: QtBot, pane: ChatPane, session: SessionModel, asked: list[SearchChat]
) -> None:
    seek(qtbot, pane, session, asked, 50)
    session.asks.put(ChatFound("c", "tre", (10, 20)))
    session.asks.put(ChatFound("d", "tren", (10, 20)))
    assert pane.search.bar.count.text() == "1 de 1"


def test_esc_closes_the_bar_and_gives_the_focus_back(
    qtbot: QtBot, pane: ChatPane, session: SessionModel, asked: list[SearchChat]
) -> None:
    seek(qtbot, pane, session, asked, 50)
    press(pane.search.bar.search.line, Qt.Key.Key_Escape)
    assert not pane.search.bar.isVisible()
    assert pane.timeline.marked == ((), None)
    assert pane.composer.editor.hasFocus()
    assert session.current == "c"


def test_esc_elsewhere_closes_the_bar_before_the_chat(
    qtbot: QtBot, pane: ChatPane, session: SessionModel, asked: list[SearchChat]
) -> None:
    seek(qtbot, pane, session, asked, 50)
    pane.timeline.setFocus()
    press(pane.timeline, Qt.Key.Key_Escape)
    assert (pane.search.is_open, session.current) == (False, "c")
    press(pane.timeline, Qt.Key.Key_Escape)
    assert session.current == ""


def test_another_chat_is_not_searched(
    qtbot: QtBot, pane: ChatPane, session: SessionModel, asked: list[SearchChat]
) -> None:
    seek(qtbot, pane, session, asked, 50)
    session.open_chat("d")
    assert not pane.search.is_open
    assert pane.timeline.marked == ((), None)


def test_new_messages_are_searched_and_the_place_is_kept(
    qtbot: QtBot, pane: ChatPane, session: SessionModel, asked: list[SearchChat]
) -> None:
    seek(qtbot, pane, session, asked, 50, 40)
    pane.search.step(1)
    session.put_chats([chat("c", "Bruno", 9, preview="otro tren")])
    qtbot.waitUntil(lambda: len(asked) == 2, timeout=30_000)
    session.asks.put(ChatFound("c", "tren", (60, 50, 40)))
    assert (current(pane), pane.search.bar.count.text()) == (40, "3 de 3")


def test_the_header_has_a_button_for_it(pane: ChatPane) -> None:
    pane.header.search.click()
    assert pane.search.bar.search.line.hasFocus()


def test_an_emptied_line_takes_the_marks_away(
    qtbot: QtBot, pane: ChatPane, session: SessionModel, asked: list[SearchChat]
) -> None:
    seek(qtbot, pane, session, asked, 50)
    pane.search.bar.search.line.clear()
    assert (pane.timeline.marked, pane.search.bar.count.text()) == (((), None), "")


@pytest.mark.slow
def test_what_was_found_is_painted(
    qtbot: QtBot, ui: UiContext, pane: ChatPane, session: SessionModel, asked: list[SearchChat]
) -> None:
    def pixels(token: str) -> int:
        image, wanted = pane.timeline.grab().toImage(), ui.theme[token].rgb()
        return sum(image.pixel(x, y) == wanted for x in range(0, image.width(), 2) for y in range(0, image.height(), 2))

    assert (pixels("found"), pixels("found_now")) == (0, 0)
    seek(qtbot, pane, session, asked, 54, 50)
    assert pixels("found") > 20
    assert pixels("found_now") > 20
