"""Telling the operator about a person, and what a block looks like: menus, marks, the way back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from PyQt6.QtCore import QPoint, Qt
from PyQt6.QtWidgets import QMenu

from mensajeria.desktop.viewmodels.asking import (
    Blocked,
    BlockMoved,
    ChatInfo,
    DraftReport,
    LoadBlocked,
    Member,
    PersonInfo,
    ReportDrafted,
    ReportSent,
    Request,
    SendReport,
    SetBlocked,
)
from mensajeria.desktop.viewmodels.types import ErrorNotice
from mensajeria.desktop.widgets.buttons import Button, IconButton
from mensajeria.desktop.widgets.signs import Pill
from mensajeria.desktop.windows.group_dialogs import ConfirmDialog
from mensajeria.desktop.windows.privacy_page import PrivacyPage
from mensajeria.desktop.windows.report import OFFERED, ReportDialog
from mensajeria.desktop.windows.settings import SettingsDialog
from tests.desktop.hands import press
from tests.desktop.material import ANA, BRUNO, chat, incoming, opened, outgoing

if TYPE_CHECKING:
    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.viewmodels.types import MessageRow
    from mensajeria.desktop.windows.app_window import AppWindow
    from mensajeria.desktop.windows.main_window import MainWindow

NUMBER = " ".join(f"{n:05d}" for n in range(10001, 10013))


@pytest.fixture
def asked(session: SessionModel) -> list[Request]:
    made: list[Request] = []
    session.asks.asked.connect(made.append)
    return made


@pytest.fixture
def main(signed_in: AppWindow, session: SessionModel) -> MainWindow:
    """A chat with Bruno in which he has written thirty messages and Ana one."""
    signed_in.resize(1180, 760)
    session.put_chats([chat("c", "Bruno", 30, handle="bruno"), chat("g", "Ruta", 20, group=True, handle="")])
    session.open_chat("c")
    rows = [with_mid(incoming(at)) for at in range(30)]
    session.put_opened_chat(opened("c", [*rows, with_mid(outgoing(30))]))
    return signed_in.main


def with_mid(row: MessageRow) -> MessageRow:
    return replace(row, mid=f"{row.position:032x}")


def menu_of(main: MainWindow, place: int) -> QMenu:
    main.pane.acts.show_menu(main.pane.timeline.model().rows[place], QPoint(20, 20))  # type: ignore[union-attr]
    return next(menu for menu in main.findChildren(QMenu) if menu.isVisible())


def take(menu: QMenu, words: str) -> None:
    next(action for action in menu.actions() if action.text() == words).trigger()
    menu.close()


def reporting(main: MainWindow, place: int = 3) -> ReportDialog:
    """The dialog, opened from a message's menu."""
    take(menu_of(main, place), "Denunciar…")
    assert isinstance(main.dialog, ReportDialog)
    return main.dialog


def last(asked: list[Request]) -> Request:
    return asked[-1]


def answer(session: SessionModel, asked: list[Request], error: str = "") -> None:
    session.asks.finish(asked[-1], ErrorNotice(error) if error else None)


def test_a_message_is_reported_after_its_author_sees_what_is_sent(
    main: MainWindow, session: SessionModel, asked: list[Request]
) -> None:
    dialog = reporting(main)
    assert dialog.words.lines.hasFocus()
    dialog.words.lines.setPlainText("Me amenaza")
    dialog.go.click()
    assert last(asked) == DraftReport("bruno", "Me amenaza", "c", (f"{3:032x}",))
    session.asks.put(ReportDrafted("bruno", "Me amenaza\n\nbruno: text 3"))
    answer(session, asked)
    assert dialog.exact.isVisible()
    assert dialog.exact.text == "Me amenaza\n\nbruno: text 3"
    assert not dialog.words.isVisible()
    dialog.go.click()
    assert last(asked) == SendReport("bruno", "Me amenaza\n\nbruno: text 3")
    session.asks.put(ReportSent(7))
    answer(session, asked)
    assert main.dialog is None
    assert main.toast.text == "Denuncia enviada. Su número: 7"


def test_nothing_is_sent_before_the_review_and_it_can_be_changed(
    main: MainWindow, session: SessionModel, asked: list[Request]
) -> None:
    dialog = reporting(main)
    dialog.words.lines.setPlainText("uno")
    dialog.go.click()
    session.asks.put(ReportDrafted("bruno", "uno"))
    answer(session, asked)
    dialog.back.click()
    assert dialog.words.text == "uno"
    assert not dialog.exact.isVisible()
    assert not [one for one in asked if isinstance(one, SendReport)]


def test_only_their_own_newest_messages_are_offered_and_the_chosen_one(main: MainWindow) -> None:
    dialog = reporting(main, place=3)
    newest = [f"{at:032x}" for at in range(29, 29 - OFFERED, -1)]
    assert list(dialog.choices) == [*newest, f"{3:032x}"]
    assert [mid for mid, choice in dialog.choices.items() if choice.isChecked()] == [f"{3:032x}"]


def test_without_messages_no_chat_is_named(main: MainWindow, asked: list[Request]) -> None:
    dialog = reporting(main)
    for choice in dialog.choices.values():
        choice.setChecked(False)
    dialog.go.click()
    assert last(asked) == DraftReport("bruno", "", "", ())


@pytest.mark.slow
def test_a_refusal_is_told_and_can_be_tried_again(
    main: MainWindow, session: SessionModel, asked: list[Request]
) -> None:
    dialog = reporting(main)
    dialog.go.click()
    assert not dialog.go.isEnabled()
    answer(session, asked, "unreachable")
    assert dialog.problem.isVisible()
    assert dialog.problem.label.text()
    dialog.go.click()
    assert len([one for one in asked if isinstance(one, DraftReport)]) == 2


@pytest.mark.slow
def test_who_is_reported_is_blocked_too_if_wanted(
    main: MainWindow, session: SessionModel, asked: list[Request]
) -> None:
    dialog = reporting(main)
    dialog.block.setChecked(True)
    dialog.go.click()
    session.asks.put(ReportDrafted("bruno", "x"))
    answer(session, asked)
    dialog.go.click()
    answer(session, asked)
    assert last(asked) == SetBlocked("bruno", on=True)


@pytest.mark.slow
def test_escape_sends_nothing(main: MainWindow, asked: list[Request]) -> None:
    dialog = reporting(main)
    press(dialog.words.lines, Qt.Key.Key_Escape)
    assert main.dialog is None
    assert not [one for one in asked if isinstance(one, DraftReport | SendReport)]


@pytest.mark.slow
def test_own_messages_cannot_be_reported(main: MainWindow) -> None:
    menu = menu_of(main, 30)
    assert "Denunciar…" not in [action.text() for action in menu.actions()]
    menu.close()


@pytest.mark.slow
def test_a_report_is_no_longer_than_the_server_takes(main: MainWindow) -> None:
    dialog = reporting(main)
    dialog.words.lines.setPlainText("x" * 5000)
    assert len(dialog.words.text) == 4000


# ---- the panel -------------------------------------------------------------------------------------------------------


def open_panel(main: MainWindow, session: SessionModel, chat_id: str, info: ChatInfo) -> None:
    session.open_chat(chat_id)
    main.toggle_info()
    session.asks.put(info)


def group(*, blocked: bool) -> ChatInfo:
    return ChatInfo("g", (Member(ANA, "member", me=True), Member(BRUNO, "member", blocked=blocked)), "member")


def member_menu(main: MainWindow) -> QMenu:
    [more] = [one for one in main.info.area.findChildren(IconButton) if BRUNO.shown_name in one.text()]
    more.click()
    return next(menu for menu in main.info.findChildren(QMenu) if menu.isVisible())


def pills(main: MainWindow) -> list[str]:
    return [pill.text for pill in main.info.area.findChildren(Pill)]


@pytest.mark.slow
def test_a_member_is_blocked_from_their_menu(main: MainWindow, session: SessionModel, asked: list[Request]) -> None:
    open_panel(main, session, "g", group(blocked=False))
    take(member_menu(main), "Bloquear")
    assert isinstance(main.dialog, ConfirmDialog)
    main.dialog.go.click()
    assert last(asked) == SetBlocked("bruno", on=True)
    assert "bloqueado" not in pills(main)


@pytest.mark.slow
def test_a_blocked_member_is_marked_and_unblocked_from_their_menu(
    main: MainWindow, session: SessionModel, asked: list[Request]
) -> None:
    open_panel(main, session, "g", group(blocked=True))
    assert "bloqueado" in pills(main)
    take(member_menu(main), "Desbloquear")
    assert isinstance(main.dialog, ConfirmDialog)
    main.dialog.go.click()
    assert last(asked) == SetBlocked("bruno", on=False)


@pytest.mark.slow
def test_a_person_is_reported_from_the_panel_of_the_chat_and_of_a_group(
    main: MainWindow, session: SessionModel
) -> None:
    info = ChatInfo("c", person=PersonInfo(BRUNO, NUMBER))
    open_panel(main, session, "c", info)
    [button] = [one for one in main.info.area.findChildren(Button) if one.text() == "Denunciar…"]
    button.click()
    assert isinstance(main.dialog, ReportDialog)
    assert not any(choice.isChecked() for choice in main.dialog.choices.values())
    main.dialog.dismiss()
    main.close_info()
    open_panel(main, session, "g", group(blocked=False))
    take(member_menu(main), "Denunciar…")
    assert isinstance(main.dialog, ReportDialog)
    assert main.dialog.choices == {}, "they have written nothing here"


# ---- what a block looks like -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_in_a_blocked_chat_nothing_is_written_until_it_is_unblocked(
    main: MainWindow, session: SessionModel, asked: list[Request]
) -> None:
    session.put_chats([chat("c", "Bruno", 30, handle="bruno", blocked=True)])
    assert not main.pane.composer.isVisible()
    assert main.pane.closed.title == "Has bloqueado a Bruno"
    main.pane.closed.acted.emit()
    assert isinstance(main.dialog, ConfirmDialog)
    main.dialog.go.click()
    assert last(asked) == SetBlocked("bruno", on=False)
    session.put_chats([chat("c", "Bruno", 30, handle="bruno")])
    assert main.pane.composer.isVisible()
    assert not main.pane.closed.isVisible()


@pytest.mark.slow
def test_a_blocked_chat_is_marked_in_the_list(main: MainWindow, session: SessionModel) -> None:
    before = main.sidebar.chats.grab().toImage()
    session.put_chats([chat("c", "Bruno", 30, handle="bruno", blocked=True)])
    assert main.sidebar.chats.grab().toImage() != before
    sentence = session.chats.data(session.chats.index(0), Qt.ItemDataRole.AccessibleTextRole)
    assert "bloqueado" in sentence


@pytest.mark.slow
def test_the_settings_list_who_is_blocked_and_take_it_back(
    main: MainWindow, session: SessionModel, asked: list[Request]
) -> None:
    main.settings("privacy")
    assert isinstance(main.dialog, SettingsDialog)
    page = main.dialog.page
    assert isinstance(page, PrivacyPage)
    assert LoadBlocked() in asked
    session.asks.put(Blocked((BRUNO,)))
    assert not page.nobody.isVisible()
    [undo] = page.rows[0].findChildren(Button)
    assert undo.accessibleName() == "Desbloquear: Bruno Díaz"
    undo.click()
    assert last(asked) == SetBlocked("bruno", on=False)
    session.asks.put(BlockMoved("bruno"))
    assert last(asked) == LoadBlocked()
    session.asks.put(Blocked(()))
    assert page.nobody.isVisible()
    assert page.rows == []
