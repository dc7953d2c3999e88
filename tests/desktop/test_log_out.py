"""Logging out in the window: what is said before, what is asked, where it leads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QMenu

from mensajeria.desktop.bridge.updates import Erased, apply
from mensajeria.desktop.viewmodels.asking import BackupInfo, LoadBackup, LogOut, Request
from mensajeria.desktop.viewmodels.profiles import ProfileRow
from mensajeria.desktop.viewmodels.types import ConnectionPhase, ConnectionState, ErrorNotice, Phase
from mensajeria.desktop.windows.account_pages import AccountPage
from mensajeria.desktop.windows.log_out import LogOutDialog
from mensajeria.desktop.windows.settings import SettingsDialog
from tests.desktop.hands import press
from tests.desktop.material import ANA, chat

if TYPE_CHECKING:
    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.windows.app_window import AppWindow


@pytest.fixture
def asked(session: SessionModel) -> list[Request]:
    made: list[Request] = []
    session.asks.asked.connect(made.append)
    # What the bridge does with it.
    session.sign_in_again_requested.connect(lambda: session.set_phase(Phase.SIGNED_OUT))
    return made


@pytest.fixture
def dialog(signed_in: AppWindow, session: SessionModel, asked: list[Request]) -> LogOutDialog:
    """Opened by somebody who is signed in."""
    session.set_account(ANA)
    session.set_connection(ConnectionState(ConnectionPhase.ONLINE, "https://a.example"))
    main = signed_in.main
    main.log_out()
    assert isinstance(main.dialog, LogOutDialog)
    return main.dialog


def test_logging_out_leads_to_a_login_page_that_knows_who_was_here(
    dialog: LogOutDialog, signed_in: AppWindow, session: SessionModel, asked: list[Request]
) -> None:
    dialog.go.click()
    request = asked[-1]
    assert request == LogOut(everywhere=False, erase=False)
    phases: list[Phase] = []
    session.phase_changed.connect(phases.append)
    assert session.phase is Phase.READY, "not before the server has done it"
    session.asks.finish(request)
    assert phases == [Phase.SIGNED_OUT]
    login = signed_in.auth.login
    assert (login.handle.text, login.server.address) == ("ana", "https://a.example")
    assert login.password.line.hasFocus()


def test_all_devices_are_logged_out_only_when_that_is_ticked(dialog: LogOutDialog, asked: list[Request]) -> None:
    dialog.everywhere.click()
    dialog.go.click()
    assert asked[-1] == LogOut(everywhere=True)


def test_without_the_server_one_stays_and_is_told(
    dialog: LogOutDialog, session: SessionModel, asked: list[Request]
) -> None:
    dialog.go.click()
    session.asks.finish(asked[-1], ErrorNotice("unreachable"))
    assert dialog.problem.label.text() == session.wording.translator.error("unreachable")
    assert dialog.go.isEnabled()
    assert session.phase is Phase.READY


def test_keys_that_are_in_no_backup_are_told(dialog: LogOutDialog, session: SessionModel, asked: list[Request]) -> None:
    assert asked == [LoadBackup()]
    session.asks.put(BackupInfo(1, current=True, saved=3, pending=0, restoring=False))
    assert not dialog.unsaved.isVisible()
    session.asks.put(BackupInfo(1, current=True, saved=3, pending=2, restoring=False))
    assert dialog.unsaved.label.text().startswith("Hay 2 claves")


def test_enter_on_the_open_dialog_does_not_log_out(dialog: LogOutDialog, asked: list[Request]) -> None:
    assert dialog.cancel.hasFocus()
    press(dialog.cancel, Qt.Key.Key_Return)
    assert not [one for one in asked if isinstance(one, LogOut)]


def test_the_page_of_the_account_leads_there(signed_in: AppWindow, asked: list[Request]) -> None:
    signed_in.main.settings("account")
    assert isinstance(signed_in.main.dialog, SettingsDialog)
    page = signed_in.main.dialog.page
    assert isinstance(page, AccountPage)
    page.log_out.click()
    assert isinstance(signed_in.main.dialog, LogOutDialog)


def test_the_menu_leads_there(signed_in: AppWindow, asked: list[Request]) -> None:
    main = signed_in.main
    main.sidebar.menu.click()
    menu = next(menu for menu in main.findChildren(QMenu) if menu.isVisible())
    next(action for action in menu.actions() if action.text() == "Cerrar sesión…").trigger()
    menu.close()
    assert isinstance(main.dialog, LogOutDialog)


def test_what_is_here_goes_when_that_is_ticked_and_is_said_before(
    dialog: LogOutDialog, signed_in: AppWindow, session: SessionModel, asked: list[Request]
) -> None:
    session.put_chats([chat("c1", "Bruno", peer="b2")])
    session.profiles.put([ProfileRow("b2", "Bruno Paz")])
    session.open_chat("c1")
    dialog.erase.click()
    assert (dialog.kept.isVisible(), dialog.erased.isVisible()) == (False, True)
    assert dialog.go.text() == "Cerrar sesión y borrar"
    dialog.go.click()
    assert asked[-1] == LogOut(everywhere=False, erase=True)
    apply(Erased(), session)
    session.asks.finish(asked[-1])
    assert session.phase is Phase.SIGNED_OUT
    assert (session.chats.total, session.current, session.account) == (0, "", None)
    assert session.profiles.find("b2").name == ""
    login = signed_in.auth.login
    assert login.handle.text == ""
    assert not login.erase.isVisible()


def test_who_is_signed_out_can_still_take_away_what_is_here(
    dialog: LogOutDialog, signed_in: AppWindow, session: SessionModel, asked: list[Request]
) -> None:
    erased: list[bool] = []
    session.erase_requested.connect(lambda: erased.append(True))
    dialog.go.click()
    session.asks.finish(asked[-1])
    auth = signed_in.auth
    assert auth.login.erase.isVisible()
    auth.login.erase.click()
    assert auth.dialog is not None
    assert auth.dialog.cancel.hasFocus()
    auth.dialog.cancel.click()
    assert erased == []
    auth.login.erase.click()
    auth.dialog.go.click()
    assert erased == [True]
    apply(Erased(), session)
    assert not auth.login.erase.isVisible()
