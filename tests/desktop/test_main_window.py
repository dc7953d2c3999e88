from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from PyQt6.QtCore import QPoint, Qt
from PyQt6.QtWidgets import QApplication, QMenu

from mensajeria.desktop.qt import present
from mensajeria.desktop.theme import theme
from mensajeria.desktop.viewmodels.types import (
    ConnectionPhase,
    ConnectionState,
    ErrorNotice,
    MessageState,
    ThemeChoice,
)
from mensajeria.desktop.windows.appearance import AppearancePage
from mensajeria.desktop.windows.dialogs import JumpDialog, NewChatDialog
from mensajeria.desktop.windows.settings import SettingsDialog
from tests.desktop.hands import click, press, write
from tests.desktop.material import NOW_MS, chat, incoming, opened, outgoing

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.windows.app_window import AppWindow
    from mensajeria.desktop.windows.main_window import MainWindow

SHIFT, CONTROL, ALT = (
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.ControlModifier,
    Qt.KeyboardModifier.AltModifier,
)


@pytest.fixture
def main(signed_in: AppWindow, session: SessionModel) -> MainWindow:
    """Three chats, the newest first, none open."""
    session.put_chats([chat("1", "Ana", 30), chat("2", "Bruno", 20, unread=2), chat("3", "Carla", 10, draft="hola")])
    return signed_in.main


def open_bruno(session: SessionModel) -> None:
    session.open_chat("2")
    session.put_opened_chat(opened("2", [incoming(1), outgoing(2)]))


def test_enter_sends_and_shift_enter_breaks_the_line(qtbot: QtBot, main: MainWindow, session: SessionModel) -> None:
    open_bruno(session)
    editor = main.pane.composer.editor
    write(editor, "hola")
    press(editor, Qt.Key.Key_Return, SHIFT)
    write(editor, "Bruno")
    with qtbot.waitSignal(session.send_requested) as sent:
        press(editor, Qt.Key.Key_Return)
    assert sent.args == ["2", "hola\nBruno"]
    assert main.pane.composer.text == ""


def test_enter_can_break_the_line_instead(qtbot: QtBot, main: MainWindow, session: SessionModel, ui: UiContext) -> None:
    ui.change(replace(ui.preferences, enter_sends=False))
    open_bruno(session)
    editor = main.pane.composer.editor
    with qtbot.assertNotEmitted(session.send_requested):
        write(editor, "a")
        press(editor, Qt.Key.Key_Return)
    with qtbot.waitSignal(session.send_requested):
        press(editor, Qt.Key.Key_Return, CONTROL)


def test_blanks_are_not_sent(qtbot: QtBot, main: MainWindow, session: SessionModel) -> None:
    open_bruno(session)
    write(main.pane.composer.editor, "   ")
    with qtbot.assertNotEmitted(session.send_requested):
        press(main.pane.composer.editor, Qt.Key.Key_Return)


def test_letters_typed_anywhere_go_to_the_composer(qtbot: QtBot, main: MainWindow, session: SessionModel) -> None:
    open_bruno(session)
    for place in (main.sidebar.chats, main.pane.timeline, main.sidebar.new_chat):
        place.setFocus()
        write(place, "n")
        assert main.pane.composer.editor.hasFocus()
    assert main.pane.composer.text == "nnn"


def test_typing_is_told_once_and_ends_with_the_text(qtbot: QtBot, main: MainWindow, session: SessionModel) -> None:
    open_bruno(session)
    told: list[bool] = []
    session.typing_requested.connect(lambda _chat, typing: told.append(typing))
    write(main.pane.composer.editor, "hola")
    assert told == [True]
    main.pane.composer.submit()
    assert told == [True, False]


def test_drafts_belong_to_their_chat(qtbot: QtBot, main: MainWindow, session: SessionModel) -> None:
    saved: list[tuple[str, str]] = []
    session.draft_requested.connect(lambda chat_id, text: saved.append((chat_id, text)))
    session.open_chat("3")
    assert main.pane.composer.text == "hola"
    write(main.pane.composer.editor, " Carla")
    session.open_chat("1")
    assert saved == [("3", "hola Carla")]
    assert main.pane.composer.text == ""


def test_the_composer_grows_to_eight_lines(qtbot: QtBot, main: MainWindow, session: SessionModel) -> None:
    open_bruno(session)
    composer = main.pane.composer
    one = composer._box.height()
    composer.editor.setPlainText("\n".join("x" * 3))
    three = composer._box.height()
    composer.editor.setPlainText("\n".join("x" * 8))
    eight = composer._box.height()
    composer.editor.setPlainText("\n".join("x" * 30))
    assert one == 40
    assert one < three < eight == composer._box.height()


@pytest.mark.parametrize(
    ("key", "held", "start", "wanted"),
    [
        (Qt.Key.Key_Down, ALT, "", "1"),
        (Qt.Key.Key_Down, ALT, "1", "2"),
        (Qt.Key.Key_Up, ALT, "2", "1"),
        (Qt.Key.Key_Up, ALT, "1", "1"),
        (Qt.Key.Key_Down, ALT | SHIFT, "1", "2"),
    ],
    ids=["first", "next", "previous", "at the top", "next unread"],
)
def test_keys_walk_through_the_chats(
    qtbot: QtBot,
    main: MainWindow,
    session: SessionModel,
    key: Qt.Key,
    held: Qt.KeyboardModifier,
    start: str,
    wanted: str,
) -> None:
    if start:
        session.open_chat(start)
    press(main, key, held)
    assert session.current == wanted


def test_escape_clears_the_search_then_leaves_the_chat(qtbot: QtBot, main: MainWindow, session: SessionModel) -> None:
    open_bruno(session)
    write(main.sidebar.search.line, "bru")
    assert [row.chat_id for row in session.chats.visible] == ["2"]
    press(main.sidebar.search.line, Qt.Key.Key_Escape)
    assert len(session.chats.visible) == 3
    assert session.current == "2"
    press(main.pane.composer.editor, Qt.Key.Key_Escape)
    assert session.current == ""


def test_search_opens_the_first_hit_and_says_when_there_is_none(
    qtbot: QtBot, main: MainWindow, session: SessionModel
) -> None:
    write(main.sidebar.search.line, "carl")
    press(main.sidebar.search.line, Qt.Key.Key_Return)
    assert session.current == "3"
    write(main.sidebar.search.line, "zzz")
    assert main.sidebar.chats.empty_sentence == "Nada para «carlzzz»"


def test_a_press_on_a_row_opens_the_chat(qtbot: QtBot, main: MainWindow, session: SessionModel) -> None:
    viewport = main.sidebar.chats.viewport()
    click(viewport, QPoint(100, 68 + 30))
    assert session.current == "2"


def test_jump_dialog(qtbot: QtBot, main: MainWindow, session: SessionModel) -> None:
    press(main, Qt.Key.Key_K, CONTROL)
    dialog = main.dialog
    assert isinstance(dialog, JumpDialog)
    press(dialog.search.line, Qt.Key.Key_Down)
    assert dialog.list.current_chat == "2"
    write(dialog.search.line, "carl")
    press(dialog.search.line, Qt.Key.Key_Return)
    assert session.current == "3"
    assert main.dialog is None


def test_new_chat_dialog(qtbot: QtBot, main: MainWindow, session: SessionModel) -> None:
    press(main, Qt.Key.Key_N, CONTROL)
    dialog = main.dialog
    assert isinstance(dialog, NewChatDialog)
    write(dialog.field.line, "@Dora")
    with qtbot.waitSignal(session.direct_chat_requested) as asked:
        press(dialog.field.line, Qt.Key.Key_Return)
    assert asked.args == ["dora"]
    session.finish_new_chat("", "unknown_user")
    assert dialog.field.helper.label.text() == "No hay nadie con ese nombre en el servidor."
    session.put_chats([chat("4", "Dora", 99)])
    session.finish_new_chat("4")
    assert session.current == "4"
    assert main.dialog is None


def test_a_request_takes_the_place_of_the_composer(qtbot: QtBot, main: MainWindow, session: SessionModel) -> None:
    session.put_chats([chat("5", "Eva", 99, request=True)])
    session.open_chat("5")
    assert main.pane.request.isVisible()
    assert not main.pane.composer.isVisible()
    with qtbot.waitSignal(session.accept_requested):
        main.pane.request.accept.click()
    session.put_chats([chat("5", "Eva", 99)])
    assert not main.pane.request.isVisible()
    assert main.pane.composer.isVisible()


def test_declining_leaves_the_chat(qtbot: QtBot, main: MainWindow, session: SessionModel) -> None:
    session.put_chats([chat("5", "Eva", 99, request=True)])
    session.open_chat("5")
    with qtbot.waitSignal(session.decline_requested) as asked:
        main.pane.request.decline.click()
    assert asked.args == ["5"]
    assert session.current == ""


def test_identity_change_is_told_until_it_is_closed(qtbot: QtBot, main: MainWindow, session: SessionModel) -> None:
    session.put_chats([chat("2", "Bruno", 20, identity_changed=True)])
    session.open_chat("2")
    assert main.pane.identity.isVisible()
    assert main.pane.identity.title == "Ha cambiado el número de seguridad de Bruno"
    with qtbot.waitSignal(session.identity_accepted):
        main.pane.identity.closed.emit()
    session.put_chats([chat("2", "Bruno", 20)])
    assert not main.pane.identity.isVisible()


@pytest.mark.parametrize(
    ("state", "title"),
    [
        (ConnectionState(ConnectionPhase.CONNECTING, "x"), "Conectando…"),
        (ConnectionState(ConnectionPhase.CATCHING_UP, "x", pending=2), "Poniéndose al día…"),
        (ConnectionState(ConnectionPhase.OFFLINE, "x", retry_at_ms=NOW_MS + 8000), "Sin conexión"),
        (ConnectionState(ConnectionPhase.SESSION_EXPIRED, "x"), "Tu sesión ha caducado"),
        (ConnectionState(ConnectionPhase.SECURITY, "x", error="chat_tampered"), "Conexión detenida por seguridad"),
    ],
    ids=lambda value: value.phase.name if isinstance(value, ConnectionState) else "",
)
def test_the_connection_is_told(main: MainWindow, session: SessionModel, state: ConnectionState, title: str) -> None:
    session.set_connection(state)
    assert main.sidebar.connection.isVisible()
    assert main.sidebar.connection.title == title
    session.set_connection(ConnectionState(ConnectionPhase.ONLINE))
    assert not main.sidebar.connection.isVisible()


def test_the_countdown_and_the_retry(qtbot: QtBot, main: MainWindow, session: SessionModel) -> None:
    session.set_connection(ConnectionState(ConnectionPhase.OFFLINE, "x", retry_at_ms=NOW_MS + 8000))
    assert main.sidebar.connection.text == "Reintentando en 8 s"
    with qtbot.waitSignal(session.reconnect_requested):
        main.sidebar.connection.acted.emit()


def test_errors_become_toasts(main: MainWindow, session: SessionModel) -> None:
    session.notify(ErrorNotice("rate_limited"))
    assert main.toast.isVisible()
    assert main.toast.text == "Demasiados intentos seguidos. Espera un poco."


def test_narrow_windows_show_one_pane(
    qtbot: QtBot, signed_in: AppWindow, main: MainWindow, session: SessionModel
) -> None:
    signed_in.resize(440, 700)
    assert main.sidebar.isVisible()
    assert not main.pane.isVisible()
    open_bruno(session)
    assert not main.sidebar.isVisible()
    assert main.pane.isVisible()
    main.pane.back.emit()
    assert main.sidebar.isVisible()
    signed_in.resize(1180, 760)
    assert main.pane.isVisible()
    assert main.sidebar.width() == 347


def test_settings_apply_at_once(qtbot: QtBot, main: MainWindow, session: SessionModel, ui: UiContext) -> None:
    open_bruno(session)
    press(main, Qt.Key.Key_Comma, CONTROL)
    dialog = main.dialog
    assert isinstance(dialog, SettingsDialog)
    page = dialog.page
    assert isinstance(page, AppearancePage)
    kept: list[object] = []
    session.preferences_requested.connect(kept.append)
    page._themes[ThemeChoice.DARK].click()
    assert ui.theme is theme.dark()
    page._languages["en"].click()
    assert main.pane.composer.editor.placeholderText() == "Write a message"
    assert session.wording.long_date(session.wording.day(NOW_MS)) == "Today"
    page._size.setValue(6)
    assert main.pane.composer.editor.font().pixelSize() == 20
    assert kept[-1] == session.preferences
    assert len(kept) == 3


def test_the_line_between_the_columns_follows_the_theme(main: MainWindow, ui: UiContext) -> None:
    handle = present(main._splitter.handle(1))
    assert handle.grab().toImage().pixelColor(handle.contentsRect().center()) == theme.light()["border"]
    ui.toggle_theme()
    assert handle.grab().toImage().pixelColor(handle.contentsRect().center()) == theme.dark()["border"]


def test_text_size_by_keys(qtbot: QtBot, main: MainWindow, ui: UiContext) -> None:
    press(main, Qt.Key.Key_Plus, CONTROL)
    assert ui.text_size == 15
    press(main, Qt.Key.Key_Minus, CONTROL)
    press(main, Qt.Key.Key_Minus, CONTROL)
    assert ui.text_size == 13
    press(main, Qt.Key.Key_0, CONTROL)
    assert ui.text_size == 14


@pytest.mark.parametrize(
    ("key", "held"), [(Qt.Key.Key_F1, Qt.KeyboardModifier.NoModifier), (Qt.Key.Key_Slash, CONTROL)]
)
def test_shortcut_sheet(qtbot: QtBot, main: MainWindow, key: Qt.Key, held: Qt.KeyboardModifier) -> None:
    press(main, key, held)
    assert main.dialog is not None
    assert main.dialog.accessibleName() == "Atajos de teclado"


def test_f6_goes_round(qtbot: QtBot, main: MainWindow, session: SessionModel) -> None:
    open_bruno(session)
    stops = [main.sidebar.chats, main.pane.timeline, main.pane.composer.editor]
    main.sidebar.chats.setFocus()
    for stop in (*stops[1:], stops[0]):
        press(main, Qt.Key.Key_F6)
        assert stop.hasFocus()
    press(main, Qt.Key.Key_F6, SHIFT)
    assert stops[2].hasFocus()


def test_menu_offers_what_exists(qtbot: QtBot, main: MainWindow, session: SessionModel) -> None:
    main.sidebar.menu.click()
    menu = next(each for each in main.findChildren(QMenu) if each.isVisible())
    words = [action.text().split("\t")[0] for action in menu.actions() if action.text()]
    assert words == ["Ajustes", "Atajos de teclado", "Cerrar sesión…", "Salir"]
    with qtbot.waitSignal(session.quit_requested):
        menu.actions()[-1].trigger()
    menu.close()


def test_failed_messages_offer_retry_and_discard(qtbot: QtBot, main: MainWindow, session: SessionModel) -> None:
    session.open_chat("2")
    session.put_opened_chat(opened("2", [outgoing(1, "x", MessageState.FAILED)]))
    view = main.pane.timeline
    layout = view._delegate.layout(0)
    top = view.visualRect(session.timeline.index(0)).top() + view._delegate.slack
    for box, signal in ((layout.retry_box, session.retry_requested), (layout.discard_box, session.discard_requested)):
        at = QPoint(round(box.center().x()), round(top + box.center().y()))
        with qtbot.waitSignal(signal) as asked:
            click(view.viewport(), at)
        assert asked.args == ["2", "k1"]


def test_copying_a_focused_message(qtbot: QtBot, main: MainWindow, session: SessionModel) -> None:
    open_bruno(session)
    press(main, Qt.Key.Key_F6)
    main.pane.timeline.setFocus(Qt.FocusReason.TabFocusReason)
    press(main.pane.timeline, Qt.Key.Key_Up)
    press(main.pane.timeline, Qt.Key.Key_C, CONTROL)
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    assert clipboard.text() == "text 1"
    assert main.toast.text == "Texto copiado"


def test_closing_the_window_quits(qtbot: QtBot, signed_in: AppWindow, session: SessionModel) -> None:
    with qtbot.waitSignal(session.quit_requested):
        signed_in.close()


def test_title_counts_unread_chats(signed_in: AppWindow, main: MainWindow, session: SessionModel) -> None:
    assert signed_in.windowTitle() == "(1) MensajeriaApp"
    session.put_chats([chat("2", "Bruno", 20)])
    assert signed_in.windowTitle() == "MensajeriaApp"
