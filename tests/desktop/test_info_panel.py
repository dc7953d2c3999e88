"""The panel beside a chat, and the dialog in which a person is verified."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QMenu, QWidget

from mensajeria.desktop.viewmodels.asking import (
    AddMembers,
    BlockMoved,
    CancelComparing,
    ChangeRole,
    ChatInfo,
    CheckCode,
    Comparison,
    ConfirmEmoji,
    Found,
    GroupMade,
    LeaveGroup,
    LookAtChat,
    LookAtPerson,
    Member,
    PersonInfo,
    RecreateGroup,
    RemoveMember,
    RenameGroup,
    Request,
    SecurityLine,
    SetBlocked,
    StartComparing,
    TrustMoved,
    WithdrawTrust,
)
from mensajeria.desktop.viewmodels.types import ErrorNotice, Person
from mensajeria.desktop.widgets.buttons import Button, IconButton
from mensajeria.desktop.widgets.labels import Label
from mensajeria.desktop.widgets.people import PersonRow
from mensajeria.desktop.windows.group_dialogs import AddMembersDialog, ConfirmDialog, RenameGroupDialog
from mensajeria.desktop.windows.verify import VerifyDialog
from tests.desktop.hands import press, write
from tests.desktop.material import NOW_MS, chat, incoming, opened

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.windows.app_window import AppWindow
    from mensajeria.desktop.windows.main_window import MainWindow

CONTROL_SHIFT = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
ANA, BRUNO = Person("a1", "ana", "", 1), Person("b2", "bruno", "", 2)
CARLA = Person("c3", "carla", "", 3, verified=True)
NUMBER = " ".join(f"{n:05d}" for n in range(10001, 10013))
INFO = PersonInfo(BRUNO, NUMBER, devices=2, code=((True, False), (False, True)))
EMOJI = (("🐶", "dog"), ("⚓", "anchor"))


def window_of(widget: QWidget) -> QWidget:
    found = widget.window()
    assert found is not None
    return found


def last(asked: list[Request]) -> Request:
    return asked[-1]


@pytest.fixture
def asked(session: SessionModel) -> list[Request]:
    made: list[Request] = []
    session.asks.asked.connect(made.append)
    return made


@pytest.fixture
def main(signed_in: AppWindow, session: SessionModel) -> MainWindow:
    signed_in.resize(1180, 760)
    session.put_chats([chat("1", "Bruno", 30), chat("g", "Ruta", 20, group=True, members=3, handle="")])
    return signed_in.main


def group(role: str = "owner", bruno: str = "member") -> ChatInfo:
    return ChatInfo(
        "g", (Member(ANA, role, me=True), Member(BRUNO, bruno), Member(CARLA, "member")), role, "Los domingos"
    )


def open_group(main: MainWindow, session: SessionModel, info: ChatInfo) -> None:
    session.open_chat("g")
    press(main, Qt.Key.Key_I, CONTROL_SHIFT)
    session.asks.put(info)


def button(main: MainWindow, words: str) -> Button:
    [found] = [one for one in main.info.area.findChildren(Button) if one.text() == words and not one.isHidden()]
    return found


def texts(main: MainWindow) -> list[str]:
    return [label.text() for label in main.info.area.findChildren(Label)]


def choose(main: MainWindow, name: str, item: str) -> None:
    """Open a member's menu and take an item."""
    [more] = [one for one in main.info.area.findChildren(IconButton) if name in one.text()]
    more.click()
    menu = next(menu for menu in main.info.findChildren(QMenu) if menu.isVisible())
    action = next(action for action in menu.actions() if action.text() == item)
    action.trigger()
    menu.close()


def items(main: MainWindow, name: str) -> list[str]:
    [more] = [one for one in main.info.area.findChildren(IconButton) if name in one.text()]
    more.click()
    menu = next(menu for menu in main.info.findChildren(QMenu) if menu.isVisible())
    found = [action.text() for action in menu.actions() if action.text()]
    menu.close()
    return found


def test_the_panel_asks_for_what_it_shows(main: MainWindow, session: SessionModel, asked: list[Request]) -> None:
    open_group(main, session, group())
    assert asked == [LookAtChat("g")]
    assert main.info.isVisible()
    rows = main.info.area.findChildren(PersonRow)
    assert [row.person.handle for row in rows] == ["ana", "bruno", "carla"]
    assert "(tú)" in rows[0].accessibleName()
    assert "verificado" in rows[2].accessibleName()


def test_an_answer_about_another_chat_is_not_shown(main: MainWindow, session: SessionModel) -> None:
    open_group(main, session, ChatInfo("other", (Member(BRUNO, "owner"),)))
    assert main.info.info is None


def test_the_panel_asks_again_when_the_chat_changes(
    qtbot: QtBot, main: MainWindow, session: SessionModel, asked: list[Request]
) -> None:
    open_group(main, session, group())
    session.put_chats([chat("g", "Ruta", 21, group=True, members=4, handle="")])
    session.asks.put(TrustMoved("bruno"))
    qtbot.waitUntil(lambda: asked == [LookAtChat("g")] * 2)


def test_a_hidden_panel_asks_for_nothing(main: MainWindow, session: SessionModel, asked: list[Request]) -> None:
    session.open_chat("g")
    session.asks.put(TrustMoved("bruno"))
    assert asked == []


def test_escape_closes_the_panel_before_the_chat(main: MainWindow, session: SessionModel) -> None:
    open_group(main, session, group())
    press(main, Qt.Key.Key_Escape)
    assert not main.info.isVisible()
    assert session.current == "g"


def test_in_a_window_of_middle_width_the_panel_lies_over_the_chat(main: MainWindow, session: SessionModel) -> None:
    window_of(main).resize(900, 700)
    width = main.pane.width()
    open_group(main, session, group())
    assert main.pane.width() == width
    assert main.info.geometry().right() == main.rect().right()
    assert main._scrim.isVisible()
    main._scrim.pressed.emit()
    assert not main.info.isVisible()
    assert not main._scrim.isVisible()


def test_a_member_cannot_change_the_group(main: MainWindow, session: SessionModel) -> None:
    open_group(main, session, group("member"))
    words = {one.text() for one in main.info.area.findChildren(Button)}
    assert words == {"Silenciar…"}
    assert main.info.leave.isVisible()
    assert items(main, "bruno") == ["Verificar", "Bloquear", "Denunciar…"]


def test_an_admin_removes_members_and_no_other_admin(main: MainWindow, session: SessionModel) -> None:
    open_group(main, session, group("admin", bruno="admin"))
    assert "Quitar del grupo" not in items(main, "bruno")
    assert items(main, "carla") == ["Verificar", "Bloquear", "Denunciar…", "Quitar del grupo"]


def test_removing_is_asked_before(main: MainWindow, session: SessionModel, asked: list[Request]) -> None:
    open_group(main, session, group())
    choose(main, "bruno", "Quitar del grupo")
    assert isinstance(main.dialog, ConfirmDialog)
    assert len(asked) == 1
    main.dialog.go.click()
    assert asked[1:] == [RemoveMember("g", "bruno")]


def test_the_owner_gives_roles_and_is_asked_before_handing_over(
    main: MainWindow, session: SessionModel, asked: list[Request]
) -> None:
    open_group(main, session, group())
    choose(main, "bruno", "Hacer administrador")
    assert asked[1:] == [ChangeRole("g", "bruno", "admin")]
    choose(main, "bruno", "Ceder el grupo")
    assert isinstance(main.dialog, ConfirmDialog)
    main.dialog.cancel.click()
    assert len(asked) == 2


def test_leaving_is_asked_before_and_a_refusal_is_told(
    main: MainWindow, session: SessionModel, asked: list[Request]
) -> None:
    open_group(main, session, group())
    main.info.leave.click()
    assert isinstance(main.dialog, ConfirmDialog)
    main.dialog.go.click()
    assert asked[1:] == [LeaveGroup("g")]
    session.asks.finish(asked[1], ErrorNotice("owner_stays"))
    assert main.toast.isVisible()


def open_person(main: MainWindow, session: SessionModel, *, blocked: bool) -> None:
    session.open_chat("1")
    press(main, Qt.Key.Key_I, CONTROL_SHIFT)
    session.asks.put(ChatInfo("1", person=replace(INFO, blocked=blocked)))


@pytest.mark.parametrize(("blocked", "words"), [(False, "Bloquear"), (True, "Desbloquear")])
def test_a_person_is_blocked_and_unblocked_after_a_question(
    main: MainWindow, session: SessionModel, asked: list[Request], *, blocked: bool, words: str
) -> None:
    open_person(main, session, blocked=blocked)
    button(main, words).click()
    assert isinstance(main.dialog, ConfirmDialog)
    assert asked == [LookAtChat("1")], "nothing before the answer"
    main.dialog.go.click()
    assert last(asked) == SetBlocked("bruno", not blocked)


def test_the_panel_looks_again_when_a_block_has_moved(
    main: MainWindow, session: SessionModel, asked: list[Request], qtbot: QtBot
) -> None:
    open_person(main, session, blocked=False)
    session.asks.put(BlockMoved("bruno"))
    qtbot.waitUntil(lambda: asked == [LookAtChat("1"), LookAtChat("1")], timeout=30_000)


def test_a_block_that_the_server_does_not_take_is_told(main: MainWindow, session: SessionModel) -> None:
    open_person(main, session, blocked=False)
    session.asks.finish(SetBlocked("bruno", on=True), ErrorNotice("network"))
    assert main.toast.isVisible()


def test_people_are_added(main: MainWindow, session: SessionModel, asked: list[Request]) -> None:
    open_group(main, session, group())
    button(main, "Añadir").click()
    assert isinstance(main.dialog, AddMembersDialog)
    write(main.dialog.people.field.line, "dora")
    press(main.dialog.people.field.line, Qt.Key.Key_Return)
    session.asks.put(Found("dora", Person("d4", "dora", "", 4)))
    assert main.dialog.past["none"].isChecked(), "nothing of the past unless somebody says so"
    main.dialog.past["7d"].click()
    main.dialog.go.click()
    assert last(asked) == AddMembers("g", ("dora",), "7d")
    session.asks.finish(asked[-1])
    assert main.dialog is None


def test_the_group_is_renamed(main: MainWindow, session: SessionModel, asked: list[Request]) -> None:
    open_group(main, session, group())
    button(main, "Editar").click()
    assert isinstance(main.dialog, RenameGroupDialog)
    assert (main.dialog.name.text, main.dialog.description.text) == ("Ruta", "Los domingos")
    main.dialog.name.line.clear()
    press(main.dialog.name.line, Qt.Key.Key_Return)
    assert main.dialog.name.frame.bad
    write(main.dialog.name.line, "Montes")
    write(main.dialog.description.line, ", a las 9")
    press(main.dialog.description.line, Qt.Key.Key_Return)
    assert last(asked) == RenameGroup("g", "Montes", "Los domingos, a las 9")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (SecurityLine(NOW_MS, "identity_changed", {"name": "bruno"}), "El número de seguridad de bruno cambió."),
        (SecurityLine(NOW_MS, "verified", {"name": "bruno", "method": "emoji"}),
         "bruno quedó verificado (comparando emojis)."),
        (SecurityLine(NOW_MS, "membership", {"type": "leave", "by": "ana"}), "ana salió"),
        (SecurityLine(NOW_MS, "membership", {"type": "of_the_future", "by": "ana"}), "ana cambió el grupo"),
        (SecurityLine(NOW_MS, "warning", {"code": "not_a_member"}), "No estás (ya) en este grupo."),
    ],
)  # fmt: skip
def test_what_happened_to_the_security_is_told_in_words(
    main: MainWindow, session: SessionModel, line: SecurityLine, words: str
) -> None:
    session.open_chat("1")
    main.toggle_info()
    session.asks.put(ChatInfo("1", person=INFO, timeline=(line,)))
    assert words in texts(main)


# ---- verification ----------------------------------------------------------------------------------------------------


@pytest.fixture
def dialog(main: MainWindow, session: SessionModel) -> VerifyDialog:
    session.open_chat("1")
    main.toggle_info()
    session.asks.put(ChatInfo("1", person=INFO))
    button(main, "Verificar").click()
    assert isinstance(main.dialog, VerifyDialog)
    session.asks.put(INFO)
    return main.dialog


def test_number_code_and_trust_are_shown(dialog: VerifyDialog, asked: list[Request]) -> None:
    assert dialog.number.accessibleName() == NUMBER
    assert dialog.code.isVisible()
    assert dialog.pill.text == "Sin verificar"


def test_the_dialog_asks_for_the_person(main: MainWindow, session: SessionModel, asked: list[Request]) -> None:
    session.open_chat("1")
    main.verify("bruno")
    assert asked == [LookAtPerson("bruno")]
    assert not main.dialog.same.isEnabled()  # type: ignore[union-attr]


def test_marking_sends_the_very_number_that_was_shown(
    dialog: VerifyDialog, session: SessionModel, asked: list[Request]
) -> None:
    dialog.same.click()
    assert last(asked) == CheckCode("bruno", NUMBER)
    session.asks.put(PersonInfo(Person("b2", "bruno", "", 2, verified=True), NUMBER))
    assert dialog.pill.text == "Verificado"
    dialog.same.click()
    assert last(asked) == WithdrawTrust("bruno")


def test_a_code_that_does_not_fit_is_told(dialog: VerifyDialog, session: SessionModel, asked: list[Request]) -> None:
    dialog.enter.click()
    write(dialog.their_code.line, "12345")
    press(dialog.their_code.line, Qt.Key.Key_Return)
    assert last(asked) == CheckCode("bruno", "12345")
    session.asks.finish(asked[-1], ErrorNotice("verification_mismatch", {"handle": "bruno"}))
    assert "bruno" in dialog.problem.label.text()
    assert dialog.pill.text == "Sin verificar"


def test_a_number_that_differs_warns_and_verifies_nothing(dialog: VerifyDialog, asked: list[Request]) -> None:
    before = len(asked)
    dialog.differs.click()
    assert dialog.problem.isVisible()
    assert len(asked) == before


def test_emoji_are_compared_and_confirmed(dialog: VerifyDialog, session: SessionModel, asked: list[Request]) -> None:
    dialog.compare.click()
    assert last(asked) == StartComparing("bruno")
    session.asks.put(Comparison(BRUNO, "asked"))
    assert not dialog.same.isVisible()
    session.asks.put(Comparison(BRUNO, "comparing", EMOJI))
    assert dialog.emoji.accessibleName() == "Perro, Ancla"
    assert not dialog.number.isVisible()
    dialog.same.click()
    assert last(asked) == ConfirmEmoji("bruno")
    session.asks.put(Comparison(BRUNO, "done", EMOJI))
    assert dialog.number.isVisible()


def test_emoji_that_differ_end_the_comparison(
    dialog: VerifyDialog, session: SessionModel, asked: list[Request]
) -> None:
    session.asks.put(Comparison(BRUNO, "comparing", EMOJI))
    dialog.differs.click()
    assert last(asked) == CancelComparing("bruno", mismatch=True)
    session.asks.put(Comparison(BRUNO, "cancelled", EMOJI, "mismatch"))
    assert "no eran iguales" in dialog.problem.label.text()


def test_steps_of_another_person_do_not_show_here(dialog: VerifyDialog, session: SessionModel) -> None:
    session.asks.put(Comparison(CARLA, "comparing", EMOJI))
    assert not dialog.emoji.isVisible()
    assert dialog.number.isVisible()


def test_somebody_who_asks_is_announced_and_answered_from_their_chat(
    main: MainWindow, session: SessionModel, asked: list[Request]
) -> None:
    session.open_chat("1")
    session.asks.put(Comparison(BRUNO, "incoming"))
    assert main.toast.isVisible()
    assert main.pane.comparing.isVisible()
    main.pane.comparing._action.click()
    assert isinstance(main.dialog, VerifyDialog)
    session.asks.put(Comparison(BRUNO, "incoming"))
    main.dialog.same.click()
    assert last(asked) == StartComparing("bruno")


def test_the_banner_of_a_changed_identity_leads_to_the_verification(main: MainWindow, session: SessionModel) -> None:
    session.put_chats([chat("1", "Bruno", 30, identity_changed=True)])
    session.open_chat("1")
    session.put_opened_chat(opened("1", [incoming(1)]))
    main.pane.identity._action.click()
    assert isinstance(main.dialog, VerifyDialog)


def test_a_low_window_shows_the_number_without_the_code(main: MainWindow, session: SessionModel) -> None:
    window_of(main).resize(1180, 560)
    session.open_chat("1")
    main.verify("bruno")
    session.asks.put(INFO)
    assert isinstance(main.dialog, VerifyDialog)
    assert not main.dialog.code.isVisible()
    assert main.dialog.number.isVisible()


def ui_words(main: MainWindow, key: str) -> str:
    return main.info._ui.say(key)


def test_a_group_whose_owner_began_anew_can_be_made_again(
    main: MainWindow, session: SessionModel, asked: list[Request]
) -> None:
    lost = Member(BRUNO, "owner", former_identity=True)
    open_group(main, session, ChatInfo("g", (Member(ANA, "member", me=True), lost), "member"))
    assert ui_words(main, "group.owner_changed") in texts(main)
    [_, row] = main.info.area.findChildren(PersonRow)
    assert ui_words(main, "group.former_identity") in row.accessibleName()
    button(main, ui_words(main, "group.recreate")).click()
    assert asked[-1] == RecreateGroup("g")
    session.put_chats([chat("h", "Ruta", 40, group=True)])
    session.asks.put(GroupMade("h"))
    assert session.current == "h"


def test_another_member_who_began_anew_is_marked_and_the_owner_adds_them_again(
    main: MainWindow, session: SessionModel
) -> None:
    lost = Member(BRUNO, "member", former_identity=True)
    open_group(main, session, ChatInfo("g", (Member(ANA, "owner", me=True), lost), "owner"))
    assert ui_words(main, "group.owner_changed") not in texts(main)
    assert ui_words(main, "group.former_identity") in main.info.area.findChildren(PersonRow)[1].accessibleName()
