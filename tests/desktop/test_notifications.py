"""Notifications: from a message that arrives to what the system is given; the settings, the tray, mutes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PyQt6.QtWidgets import QMenu, QSystemTrayIcon

from mensajeria.client.api import MUTED_FOREVER
from mensajeria.desktop.app.notifier import Notifier
from mensajeria.desktop.app.tray import Tray, plain
from mensajeria.desktop.viewmodels.asking import ChatInfo, Mute, Request
from mensajeria.desktop.viewmodels.notes import Arrival, Note
from mensajeria.desktop.viewmodels.types import ErrorNotice, Told
from mensajeria.desktop.widgets.labels import Label
from mensajeria.desktop.windows.notifications_page import NotificationsPage
from mensajeria.desktop.windows.settings import SettingsDialog
from tests.desktop.material import NOW_MS, chat, incoming, opened

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.windows.app_window import AppWindow
    from mensajeria.desktop.windows.main_window import MainWindow

HOUR_MS = 3_600_000


@pytest.fixture
def asked(session: SessionModel) -> list[Request]:
    made: list[Request] = []
    session.asks.asked.connect(made.append)
    return made


@pytest.fixture
def main(signed_in: AppWindow, session: SessionModel) -> MainWindow:
    signed_in.resize(1180, 760)
    session.put_chats([chat("c", "Bruno", 30), chat("d", "Ana", 20)])
    session.open_chat("c")
    session.put_opened_chat(opened("c", [incoming(1)]))
    return signed_in.main


# ---- telling ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def notes(signed_in: AppWindow, session: SessionModel) -> list[Note]:
    """What is shown."""
    shown: list[Note] = []
    Notifier(session, signed_in, shown.append)
    return shown


def test_messages_that_come_together_are_told_together(
    qtbot: QtBot, main: MainWindow, session: SessionModel, notes: list[Note]
) -> None:
    for text in ("a", "b"):
        session.arrived.emit(Arrival("d", "ana", text))
    assert notes == [], "not at once: the rows of the chats come after the messages"
    qtbot.waitUntil(lambda: bool(notes), timeout=30_000)
    assert notes == [Note("d", "MensajeriaApp", "2 mensajes nuevos")]


def test_the_chat_in_front_is_told_only_when_the_window_is_not_in_use(
    qtbot: QtBot, signed_in: AppWindow, main: MainWindow, session: SessionModel, notes: list[Note]
) -> None:
    session.arrived.emit(Arrival("c", "bruno", "visto"))
    session.arrived.emit(Arrival("d", "ana", "no visto"))
    qtbot.waitUntil(lambda: bool(notes), timeout=30_000)
    assert [note.chat_id for note in notes] == ["d"]
    signed_in.hide()
    session.arrived.emit(Arrival("c", "bruno", "no visto"))
    qtbot.waitUntil(lambda: len(notes) == 2, timeout=30_000)
    assert notes[1].chat_id == "c"


# ---- the sign beside the clock ---------------------------------------------------------------------------------------


OFFSCREEN = pytest.mark.qt_log_ignore("systemTrayWindowChanged")
"""Qt itself says this on a platform that has no place for a tray."""


@pytest.fixture
def tray(signed_in: AppWindow, session: SessionModel) -> Tray:
    return Tray(session, signed_in.windowIcon(), signed_in)


@OFFSCREEN
def test_a_pressed_note_opens_its_chat(tray: Tray) -> None:
    wanted: list[str] = []
    tray.opened.connect(wanted.append)
    tray.show_note(Note("c", "Bruno", "hola"))
    tray.sign.messageClicked.emit()
    tray.sign.activated.emit(QSystemTrayIcon.ActivationReason.Trigger)
    assert wanted == ["c", ""]


@OFFSCREEN
def test_peace_is_chosen_beside_the_clock_and_shown_in_both_places(
    tray: Tray, main: MainWindow, session: SessionModel
) -> None:
    main.settings("notifications")
    assert isinstance(main.dialog, SettingsDialog)
    page = main.dialog.page
    assert isinstance(page, NotificationsPage)
    tray.quiet.trigger()
    assert session.preferences.do_not_disturb
    assert page.quiet.isChecked()
    page.quiet.click()
    assert not tray.quiet.isChecked()


@OFFSCREEN
def test_the_sign_says_how_much_is_unread_in_the_language_in_force(tray: Tray, session: SessionModel) -> None:
    session.put_chats([chat("c", "Bruno", unread=3)])
    assert tray.sign.toolTip() == "MensajeriaApp · 1 chat sin leer"


def test_what_a_stranger_writes_is_no_markup_for_the_system() -> None:
    text = "<img src=https://x.example/a> & <b>"
    assert not set("<>&") & set(plain(text, "linux"))
    assert plain(text, "win32") == text


# ---- settings --------------------------------------------------------------------------------------------------------


def test_what_is_told_is_chosen_in_the_settings(main: MainWindow, session: SessionModel) -> None:
    main.settings("notifications")
    assert isinstance(main.dialog, SettingsDialog)
    page = main.dialog.page
    assert isinstance(page, NotificationsPage)
    assert page.told[Told.HIDDEN].isChecked()
    page.told[Told.FULL].click()
    assert session.preferences.told is Told.FULL
    page.on.click()
    assert not session.preferences.notify
    assert not page.told[Told.FULL].isEnabled()


# ---- mutes -----------------------------------------------------------------------------------------------------------


def mute_menu(main: MainWindow) -> QMenu:
    main.info.mute.click()
    return next(menu for menu in main.info.findChildren(QMenu) if menu.isVisible())


def take(menu: QMenu, words: str) -> None:
    next(action for action in menu.actions() if action.text() == words).trigger()
    menu.close()


@pytest.mark.parametrize(
    ("words", "for_s"),
    [("Una hora", 3600), ("Ocho horas", 28_800), ("Una semana", 604_800), ("Hasta que lo quite", None)],
)
def test_a_chat_is_muted_from_its_panel(
    main: MainWindow, session: SessionModel, asked: list[Request], words: str, for_s: int | None
) -> None:
    main.toggle_info()
    session.asks.put(ChatInfo("c"))
    menu = mute_menu(main)
    assert "Volver a avisar" not in [action.text() for action in menu.actions()]
    take(menu, words)
    assert asked[-1] == Mute("c", for_s)


@pytest.mark.parametrize(
    ("until_ms", "words"),
    [(NOW_MS + HOUR_MS, "Silenciado. Termina: Hoy, 7:00"), (MUTED_FOREVER, "Silenciado hasta que lo quites")],
)
def test_a_mute_is_shown_and_taken_back(
    main: MainWindow, session: SessionModel, asked: list[Request], until_ms: int, words: str
) -> None:
    main.toggle_info()
    session.asks.put(ChatInfo("c"))
    session.put_chats([chat("c", "Bruno", 30, muted_until_ms=until_ms)])
    assert words in [label.text() for label in main.info.area.findChildren(Label)]
    take(mute_menu(main), "Volver a avisar")
    assert asked[-1] == Mute("c", 0)


def test_a_mute_that_failed_is_told(main: MainWindow, session: SessionModel) -> None:
    session.asks.finish(Mute("c", 60), ErrorNotice("store_failed"))
    assert main.toast.text == session.wording.translator.error("store_failed")


def test_a_muted_chat_is_marked_until_its_time_is_over(main: MainWindow, session: SessionModel) -> None:
    def sentence() -> str:
        return session.wording.accessible_chat(session.chats.visible[0])

    before = main.sidebar.chats.grab().toImage()
    session.put_chats([chat("c", "Bruno", 30, muted_until_ms=NOW_MS + 1)])
    assert main.sidebar.chats.grab().toImage() != before
    assert "silenciado" in sentence()
    session.put_chats([chat("c", "Bruno", 30, muted_until_ms=NOW_MS)])
    assert "silenciado" not in sentence()
