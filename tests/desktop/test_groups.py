"""Groups in the window: made, shown, filtered; each request goes out once and its end is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PyQt6.QtCore import Qt

from mensajeria.desktop.viewmodels.asking import CreateGroup, FindPerson, Found, GroupMade, RecreateGroup, Request
from mensajeria.desktop.viewmodels.types import ErrorNotice, Person
from mensajeria.desktop.widgets.people import PersonRow
from mensajeria.desktop.windows.dialogs import NewChatDialog
from mensajeria.desktop.windows.group_dialogs import NewGroupDialog
from tests.desktop.hands import press, write
from tests.desktop.material import chat, incoming, opened

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.windows.app_window import AppWindow
    from mensajeria.desktop.windows.main_window import MainWindow

BRUNO = Person("b2", "bruno", "", 2)
CONTROL_SHIFT = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def asked(session: SessionModel) -> list[Request]:
    """Everything that is asked for."""
    made: list[Request] = []
    session.asks.asked.connect(made.append)
    return made


@pytest.fixture
def main(signed_in: AppWindow, session: SessionModel) -> MainWindow:
    session.put_chats([chat("1", "Ana", 30), chat("g", "Ruta", 20, group=True, members=7, handle="", author="teo")])
    return signed_in.main


@pytest.fixture
def dialog(main: MainWindow) -> NewGroupDialog:
    press(main, Qt.Key.Key_N, CONTROL_SHIFT)
    assert isinstance(main.dialog, NewGroupDialog)
    return main.dialog


def add_bruno(dialog: NewGroupDialog, session: SessionModel) -> None:
    write(dialog.people.field.line, "@Bruno")
    press(dialog.people.field.line, Qt.Key.Key_Return)
    session.asks.put(Found("bruno", BRUNO))


def test_a_group_is_made_by_the_keyboard_alone(
    dialog: NewGroupDialog, session: SessionModel, asked: list[Request], main: MainWindow
) -> None:
    write(dialog.name.line, "Ruta 2")
    press(dialog.name.line, Qt.Key.Key_Return)
    add_bruno(dialog, session)
    assert asked == [FindPerson("bruno")]
    assert dialog.people.handles == ("bruno",)
    press(dialog.go, Qt.Key.Key_Return)
    assert asked[1:] == [CreateGroup("Ruta 2", ("bruno",))]
    session.put_chats([chat("n", "Ruta 2", 50, group=True, members=2, handle="")])
    session.asks.put(GroupMade("n"))
    session.asks.finish(asked[1])
    assert session.current == "n"
    assert main.dialog is None


def test_a_second_press_while_the_group_is_made_asks_for_nothing(
    dialog: NewGroupDialog, session: SessionModel, asked: list[Request]
) -> None:
    write(dialog.name.line, "Ruta")
    add_bruno(dialog, session)
    dialog.send()
    dialog.send()
    assert [type(request) for request in asked] == [FindPerson, CreateGroup]


def test_a_name_that_nobody_has_is_not_taken(dialog: NewGroupDialog, session: SessionModel) -> None:
    write(dialog.people.field.line, "brunno")
    press(dialog.people.field.line, Qt.Key.Key_Return)
    session.asks.put(Found("brunno", None))
    assert dialog.people.handles == ()
    assert "brunno" in dialog.people.field.helper.label.text()
    assert dialog.people.field.frame.bad


def test_an_answer_about_another_name_changes_nothing(dialog: NewGroupDialog, session: SessionModel) -> None:
    write(dialog.people.field.line, "carla")
    session.asks.put(Found("bruno", BRUNO))
    assert dialog.people.handles == ()
    assert dialog.people.field.helper.isHidden()


def test_the_dialog_makes_room_for_everybody_in_it(qtbot: QtBot, dialog: NewGroupDialog, session: SessionModel) -> None:
    add_bruno(dialog, session)
    write(dialog.people.field.line, "carla")
    press(dialog.people.field.line, Qt.Key.Key_Return)
    session.asks.put(Found("carla", Person("c3", "carla", "", 3)))
    rows = dialog.people.findChildren(PersonRow)
    assert len(rows) == 2
    qtbot.waitUntil(lambda: all(row.height() >= 40 for row in rows))
    qtbot.waitUntil(lambda: dialog.people.field.height() >= 60)


def test_a_person_can_be_taken_away_again(dialog: NewGroupDialog, session: SessionModel) -> None:
    add_bruno(dialog, session)
    dialog.people._remove("bruno")
    assert dialog.people.handles == ()


@pytest.mark.parametrize("name", ["", "   "])
def test_without_a_name_nothing_is_asked(
    dialog: NewGroupDialog, session: SessionModel, asked: list[Request], name: str
) -> None:
    write(dialog.name.line, name)
    add_bruno(dialog, session)
    dialog.send()
    assert not any(isinstance(request, CreateGroup) for request in asked)
    assert dialog.name.frame.bad


def test_without_people_nothing_is_asked(dialog: NewGroupDialog, asked: list[Request]) -> None:
    write(dialog.name.line, "Ruta")
    dialog.send()
    assert asked == []
    assert dialog.people.field.frame.bad


def test_a_refusal_stays_in_the_dialog(dialog: NewGroupDialog, session: SessionModel, asked: list[Request]) -> None:
    write(dialog.name.line, "Ruta")
    add_bruno(dialog, session)
    dialog.send()
    session.asks.finish(asked[-1], ErrorNotice("group_full"))
    assert dialog.isVisible()
    assert dialog.problem.label.text() == session.wording.translator.error("group_full")
    assert dialog.go.isEnabled()


def test_the_new_chat_dialog_leads_to_a_new_group(main: MainWindow) -> None:
    main.new_chat()
    assert isinstance(main.dialog, NewChatDialog)
    main.dialog.group.click()
    assert isinstance(main.dialog, NewGroupDialog)


def test_the_empty_card_leads_to_a_new_group(main: MainWindow) -> None:
    main.pane.empty.card.group.click()
    assert isinstance(main.dialog, NewGroupDialog)


def test_the_filter_shows_groups_only(main: MainWindow, session: SessionModel) -> None:
    main.sidebar.groups.click()
    assert [row.title for row in session.chats.visible] == ["Ruta"]
    main.sidebar.everything.click()
    assert len(session.chats.visible) == 2


def test_the_header_of_a_group_counts_its_members_and_names_who_writes(main: MainWindow, session: SessionModel) -> None:
    session.open_chat("g")
    assert main.pane.header._state.text == "7 miembros"
    session.put_chats([chat("g", "Ruta", 20, group=True, members=7, typing=True, typist="teo")])
    assert main.pane.header._state.text == "teo está escribiendo…"


def test_a_group_that_is_closed_says_why_and_has_no_composer(main: MainWindow, session: SessionModel) -> None:
    session.put_chats([chat("g", "Ruta", 20, group=True, closed="not_a_member")])
    session.open_chat("g")
    session.put_opened_chat(opened("g", [incoming(1)]))
    assert not main.pane.composer.isVisible()
    assert main.pane.closed.text == session.wording.translator.error("not_a_member")
    assert main.pane.closed._action.isHidden()


def test_a_forked_group_has_a_way_out(main: MainWindow, session: SessionModel, asked: list[Request]) -> None:
    session.put_chats([chat("g", "Ruta", 20, group=True, closed="group_forked")])
    session.open_chat("g")
    main.pane.closed._action.click()
    assert asked == [RecreateGroup("g")]
    session.put_chats([chat("h", "Ruta", 40, group=True)])
    session.asks.put(GroupMade("h"))
    assert session.current == "h"
