"""The timeline on screen: what stands still while rows come and go, what is asked for, what is told as seen."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest
from PyQt6.QtCore import QPoint, QPointF, Qt
from PyQt6.QtGui import QImage, QWheelEvent
from PyQt6.QtWidgets import QApplication

from mensajeria.desktop.viewmodels.types import MessageState, Page, ServiceKind, Unreadable
from mensajeria.desktop.widgets.message_layout import MessageLayout
from tests.desktop.hands import press, write
from tests.desktop.material import DAY_MS, NOW_MS, chat, incoming, opened, outgoing

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.widgets.timeline_view import TimelineView
    from mensajeria.desktop.windows.app_window import AppWindow


@pytest.fixture
def view(signed_in: AppWindow, session: SessionModel) -> TimelineView:
    """An open, still empty chat."""
    session.put_chats([chat("c", "Bruno")])
    session.open_chat("c")
    return signed_in.main.pane.timeline


def fill(session: SessionModel, start: int, count: int, *, at_start: bool = False, at_end: bool = True) -> None:
    rows = [incoming(place) if place % 3 else outgoing(place) for place in range(start, start + count)]
    session.put_opened_chat(opened("c", rows, at_start=at_start, at_end=at_end))


def holds_from(session: SessionModel, position: int) -> bool:
    return session.timeline.rows[0].position == position


def top_of(view: TimelineView, session: SessionModel, key: str) -> int:
    view.executeDelayedItemsLayout()
    return view.visualRect(session.timeline.index(session.timeline.find(key))).top()


def bar(view: TimelineView) -> tuple[int, int]:
    native = view.verticalScrollBar()
    assert native is not None
    return native.value(), native.maximum()


def scroll(view: TimelineView, value: int) -> None:
    native = view.verticalScrollBar()
    assert native is not None
    native.setValue(value)


def test_a_chat_opens_at_its_end(view: TimelineView, session: SessionModel) -> None:
    fill(session, 0, 160)
    assert bar(view)[0] == bar(view)[1] > 0


def test_a_chat_opens_at_the_first_unread_message(view: TimelineView, session: SessionModel) -> None:
    rows = [incoming(place) for place in range(160)]
    session.put_opened_chat(opened("c", rows, first_unread="k80", unread=80))
    assert 0 <= top_of(view, session, "k80") < 100


def test_short_chats_stand_at_the_bottom(view: TimelineView, session: SessionModel) -> None:
    fill(session, 0, 2, at_start=True)
    box = view.visualRect(session.timeline.index(1))
    viewport = view.viewport()
    assert viewport is not None
    assert box.bottom() + 1 == viewport.height()


def test_older_rows_do_not_move_what_is_on_screen(qtbot: QtBot, view: TimelineView, session: SessionModel) -> None:
    fill(session, 1000, 160)
    scroll(view, bar(view)[1] // 2)
    first = session.timeline.rows[view.first_visible()].key
    before = top_of(view, session, first)
    for start in (900, 800, 700):
        rows = tuple(incoming(place) for place in range(start, start + 100))
        session.put_older(Page("c", rows, at_start=False, at_end=False))
        qtbot.waitUntil(partial(holds_from, session, start))
        assert top_of(view, session, first) == before


def test_new_rows_follow_only_at_the_end(view: TimelineView, session: SessionModel) -> None:
    fill(session, 0, 160)
    session.put_messages("c", [incoming(160)])
    view.executeDelayedItemsLayout()
    assert bar(view)[0] == bar(view)[1]
    scroll(view, bar(view)[1] - 2000)
    first = session.timeline.rows[view.first_visible()].key
    before = top_of(view, session, first)
    session.put_messages("c", [incoming(161), incoming(162)])
    assert top_of(view, session, first) == before


def test_a_changed_row_keeps_the_place(view: TimelineView, session: SessionModel) -> None:
    fill(session, 0, 160)
    scroll(view, bar(view)[1] // 2)
    first = session.timeline.rows[view.first_visible() + 1].key
    before = top_of(view, session, first)
    session.put_messages("c", [replace(incoming(1), text="long " * 200)])
    assert top_of(view, session, first) == before


def test_resizing_keeps_the_end(qtbot: QtBot, signed_in: AppWindow, view: TimelineView, session: SessionModel) -> None:
    fill(session, 0, 160)
    signed_in.resize(900, 600)
    view.executeDelayedItemsLayout()
    assert bar(view)[0] == bar(view)[1]


def test_the_next_page_is_asked_for_before_the_end_is_reached(
    qtbot: QtBot, view: TimelineView, session: SessionModel
) -> None:
    fill(session, 1000, 160)
    with qtbot.waitSignal(session.older_requested) as asked:
        scroll(view, 900)
    assert asked.args == ["c", 1000, 100]
    session.put_older(Page("c", tuple(incoming(place) for place in range(900, 1000)), at_start=True, at_end=False))
    with qtbot.assertNotEmitted(session.older_requested):
        scroll(view, 0)


def test_newer_pages_are_asked_for_when_the_end_is_not_held(
    qtbot: QtBot, view: TimelineView, session: SessionModel
) -> None:
    fill(session, 1000, 160, at_end=False)
    with qtbot.waitSignal(session.newer_requested) as asked:
        scroll(view, bar(view)[1] - 100)
    assert asked.args[:2] == ["c", 1159]


def test_what_is_on_screen_is_told_as_read(qtbot: QtBot, view: TimelineView, session: SessionModel) -> None:
    with qtbot.waitSignal(session.read_requested) as told:
        fill(session, 0, 160)
    assert told.args == ["c", 159]
    with qtbot.assertNotEmitted(session.read_requested, wait=250):
        scroll(view, 0)


def test_the_jump_button_comes_and_goes(
    qtbot: QtBot, signed_in: AppWindow, view: TimelineView, session: SessionModel
) -> None:
    fill(session, 0, 160)
    jump = signed_in.main.pane.jump
    assert not jump.isVisible()
    scroll(view, 0)
    assert jump.isVisible()
    jump.click()
    assert bar(view)[0] == bar(view)[1]
    assert not jump.isVisible()


def test_sending_goes_to_the_end(qtbot: QtBot, signed_in: AppWindow, view: TimelineView, session: SessionModel) -> None:
    fill(session, 0, 160)
    scroll(view, 0)
    write(signed_in.main.pane.composer.editor, "x")
    press(signed_in.main.pane.composer.editor, Qt.Key.Key_Return)
    assert bar(view)[0] == bar(view)[1]


def test_a_wheel_scrolls(view: TimelineView, session: SessionModel) -> None:
    fill(session, 0, 160)
    viewport = view.viewport()
    assert viewport is not None
    before = bar(view)[0]
    at = QPointF(100, 100)
    for pixels, angle in ((QPoint(0, 30), QPoint()), (QPoint(), QPoint(0, 120))):
        event = QWheelEvent(
            at,
            QPointF(viewport.mapToGlobal(QPoint(100, 100))),
            pixels,
            angle,
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(viewport, event)
    assert bar(view)[0] == before - 30 - 110


def test_arrow_keys_walk_through_rows(qtbot: QtBot, view: TimelineView, session: SessionModel) -> None:
    fill(session, 0, 160)
    view.setFocus(Qt.FocusReason.TabFocusReason)
    focused = view.focused_message
    assert focused is not None
    assert focused.key == "k159"
    for _ in range(60):
        press(view, Qt.Key.Key_Up)
    focused = view.focused_message
    assert focused is not None
    assert focused.key == "k99"
    box = view.visualRect(session.timeline.index(99))
    assert box.top() >= -2


HOSTILE = [
    "",
    "\n" * 500,
    "x" * 50_000,
    "🎉" * 3000,
    "\u202edlrow olleh",
    "a\u0300" * 2000,
    "<b>no</b> &amp; <img src=x>",
    "שלום עולם مرحبا",
    "\ud800",
    "https://" + "a" * 5000,
    "**" * 400 + "`" * 400,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_painted_inside_its_bubble(view: TimelineView, session: SessionModel, text: str) -> None:
    session.put_opened_chat(opened("c", [incoming(1, text or " "), outgoing(2, text)]))
    picture = view.grab()
    assert not picture.isNull()
    for place in range(2):
        layout = view._delegate.layout(place)
        assert layout.bubble_box.width() <= 500
        assert layout.height < 20_000


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(ServiceKind))
def test_every_kind_of_row_paints(view: TimelineView, session: SessionModel, kind: ServiceKind) -> None:
    notice = replace(incoming(1), service=kind, service_params={"name": "Bruno", "count": "3"})
    lost = [replace(incoming(2 + at), unreadable=cause) for at, cause in enumerate(Unreadable)]
    states = [outgoing(20 + at, state=state) for at, state in enumerate(MessageState)]
    session.put_opened_chat(opened("c", [notice, *lost, *states, incoming(40, "🎉")]))
    image = view.grab().toImage()
    colours = {image.pixel(x, y) for x in range(0, image.width(), 7) for y in range(0, image.height(), 7)}
    assert len(colours) > 4


def test_a_theme_change_repaints_all(view: TimelineView, session: SessionModel, ui: UiContext) -> None:
    fill(session, 0, 20)

    def corner(image: QImage) -> int:
        return image.pixel(3, 3)

    light = corner(view.grab().toImage())
    ui.toggle_theme()
    assert corner(view.grab().toImage()) != light


def test_today_becomes_yesterday_at_midnight(view: TimelineView, session: SessionModel, ui: UiContext) -> None:
    session.put_opened_chat(opened("c", [incoming(1, time_ms=NOW_MS)]))
    assert view._delegate.layout(0).date_text == "Hoy"
    session.wording.now_ms = lambda: NOW_MS + DAY_MS
    ui.check_day()
    assert view._delegate.layout(0).date_text == "Ayer"


def test_links_are_found_where_they_are_painted(ui: UiContext, session: SessionModel) -> None:
    session.timeline.clear("c")
    session.timeline.open(opened("c", [incoming(1, "🎉 mira https://osm.org/go ahora")]))
    layout = MessageLayout(ui, session.timeline.rows[0], session.timeline.decor[0], 800)
    assert layout.text is not None
    middle = layout.text_at + QPointF(110, 10)
    assert layout.link_at(middle) == "https://osm.org/go"
    assert layout.link_at(layout.text_at + QPointF(5, 10)) == ""
    assert layout.link_at(layout.text_at + QPointF(layout.text.widest - 4, 10)) == ""
