"""Every window: whatever can take the focus has a name for screen readers, and icons say theirs in a tooltip."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from PyQt6 import sip
from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QAbstractButton, QApplication, QWidget

from mensajeria.desktop.viewmodels.asking import ChatInfo, LinkMade, Member, PrivacyIs
from mensajeria.desktop.viewmodels.types import CheckState, ConnectionPhase, ConnectionState, Phase, ServerCheck
from mensajeria.desktop.widgets.buttons import IconButton, SendButton
from mensajeria.kit.secrets import Secret
from tests.desktop.hands import press
from tests.desktop.material import ANA, BRUNO, NOW_MS, chat, incoming, opened

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytestqt.qtbot import QtBot

    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.windows.app_window import AppWindow


def focusable(root: QWidget) -> list[QWidget]:
    stops = [each for each in root.findChildren(QWidget) if each.focusPolicy() & Qt.FocusPolicy.TabFocus]
    return [each for each in stops if each.isVisible() and each.focusProxy() is None]


def check(root: QWidget) -> None:
    stops = focusable(root)
    assert stops
    nameless = [
        f"{type(each).__name__} in {type(each.parent()).__name__}" for each in stops if not each.accessibleName()
    ]
    assert nameless == []
    for each in stops:
        if isinstance(each, IconButton | SendButton):
            assert each.toolTip() == each.accessibleName()
        if isinstance(each, QAbstractButton):
            assert each.width() >= 24
            assert each.height() >= 24


def open_chat(window: AppWindow, session: SessionModel) -> None:
    session.set_account(ANA)
    session.put_chats([chat("c", "Bruno", identity_changed=True, verified=True)])
    session.set_phase(Phase.READY)
    session.set_connection(ConnectionState(ConnectionPhase.OFFLINE, "x", retry_at_ms=1))
    session.open_chat("c")
    session.put_opened_chat(opened("c", [incoming(1)]))


def login(window: AppWindow, session: SessionModel) -> None:
    window.auth.show_login()


def link(window: AppWindow, session: SessionModel) -> None:
    window.auth.show_link()


def register(window: AppWindow, session: SessionModel) -> None:
    window.auth.show_register()
    window.auth.register.server.show_address("a.example")
    session.set_server_check(ServerCheck("a.example", CheckState.OK, "1", registration_open=False))


def recovery(window: AppWindow, session: SessionModel) -> None:
    session.set_recovery_code(Secret.from_text("AAAA-BBBB"))


def request(window: AppWindow, session: SessionModel) -> None:
    open_chat(window, session)
    session.put_chats([chat("c", "Bruno", request=True)])


def empty(window: AppWindow, session: SessionModel) -> None:
    session.set_phase(Phase.READY)


def narrow(window: AppWindow, session: SessionModel) -> None:
    open_chat(window, session)
    window.resize(440, 700)


def dialog(name: str) -> Callable[[AppWindow, SessionModel], None]:
    def show(window: AppWindow, session: SessionModel) -> None:
        open_chat(window, session)
        getattr(window.main, name)()

    return show


def privacy(window: AppWindow, session: SessionModel) -> None:
    open_chat(window, session)
    window.main.settings("privacy")
    session.asks.put(PrivacyIs())


def linking(window: AppWindow, session: SessionModel) -> None:
    open_chat(window, session)
    window.main.settings("devices")
    session.asks.put(LinkMade(Secret.from_text("mensajeria-link:AAAA"), ((True,),), NOW_MS + 600_000))


def panel(window: AppWindow, session: SessionModel) -> None:
    session.set_account(ANA)
    session.put_chats([chat("g", "Ruta", group=True, members=2, handle="")])
    session.set_phase(Phase.READY)
    session.open_chat("g")
    window.main.toggle_info()
    members = (Member(ANA, "owner", me=True), Member(BRUNO, "member"))
    session.asks.put(ChatInfo("g", members, "owner"))


def report(window: AppWindow, session: SessionModel) -> None:
    open_chat(window, session)
    session.put_messages("c", [replace(incoming(2), mid="aa")])
    window.main.report("bruno")


def search(window: AppWindow, session: SessionModel) -> None:
    open_chat(window, session)
    window.main.pane.search.open()


SCENES = {
    "report": report,
    "search": search,
    "login": login,
    "register": register,
    "link": link,
    "recovery": recovery,
    "chat": open_chat,
    "request": request,
    "empty": empty,
    "narrow": narrow,
    "new_chat": dialog("new_chat"),
    "jump": dialog("jump"),
    "settings": dialog("settings"),
    "log_out": dialog("log_out"),
    "privacy": privacy,
    "linking": linking,
    "new_group": dialog("new_group"),
    "panel": panel,
    "shortcuts": dialog("shortcuts"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("language", ["es", "en"])
def test_everything_has_a_name(
    window: AppWindow, session: SessionModel, ui: UiContext, name: str, language: str
) -> None:
    SCENES[name](window, session)
    if language == "en":
        from_spanish = {each: each.accessibleName() for each in focusable(window)}
        ui.change(type(ui.preferences)(language="en", theme=ui.preferences.theme, reduce_motion=True))
        kept = {each: was for each, was in from_spanish.items() if not sip.isdeleted(each)}  # a panel is built anew
        changed = [each for each, was in kept.items() if each.accessibleName() != was]
        assert changed, "the language changes without a restart"
    check(window)


@pytest.mark.parametrize("name", ["new_chat", "new_group", "jump", "settings", "shortcuts", "log_out"])
def test_dialogs_keep_tab_inside_and_give_the_focus_back(
    qtbot: QtBot, signed_in: AppWindow, session: SessionModel, name: str
) -> None:
    open_chat(signed_in, session)
    opener = signed_in.main.sidebar.menu
    opener.setFocus()
    qtbot.waitUntil(opener.hasFocus)
    getattr(signed_in.main, name)()
    shown = signed_in.main.dialog
    assert shown is not None
    assert shown.accessibleName()
    for _ in range(12):
        focus = QApplication.focusWidget()
        assert focus is not None
        assert shown.isAncestorOf(focus)
        press(focus, Qt.Key.Key_Tab)
    focus = QApplication.focusWidget()
    assert focus is not None
    press(focus, Qt.Key.Key_Escape)
    assert signed_in.main.dialog is None
    assert opener.hasFocus()
