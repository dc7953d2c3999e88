"""The main window: chats, their marks, dialogs and panels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from PyQt6.QtCore import QEvent, Qt
from PyQt6.QtGui import QKeyEvent
from PyQt6.QtWidgets import QApplication

from mensajeria.desktop.viewmodels.asking import (
    BackupInfo,
    ChatFound,
    ChatInfo,
    PersonInfo,
    ReportDrafted,
)
from mensajeria.desktop.viewmodels.profiles import ProfileRow
from mensajeria.desktop.viewmodels.types import (
    ConnectionPhase,
    ConnectionState,
    MessageState,
    Person,
    Phase,
    ServiceKind,
    Unreadable,
)
from mensajeria.desktop.windows.dialogs import NewChatDialog
from mensajeria.desktop.windows.log_out import LogOutDialog
from mensajeria.desktop.windows.report import ReportDialog
from scenes.people import contact_info
from scenes.stage import CARMEN, LUCIA, NOW, PABLO, Scene, at, landscape, type_into, wait

if TYPE_CHECKING:
    from mensajeria.desktop.viewmodels.asking import Request


def main_direct(scene: Scene) -> None:
    """A chat of two days with new messages."""
    scene.sign_in()
    scene.open("c1", scene.lucia(), "m5", 3)


def search_chat(scene: Scene) -> None:
    """Search inside a chat: three found, at the second."""
    scene.sign_in()
    scene.open("c1", scene.lucia())
    pane = scene.window.main.pane
    pane.search.open()
    word = {"es": "te", "en": "you"}[scene.session.preferences.language]
    type_into(pane.search.bar.search.line, word)
    wait(250)
    scene.session.asks.put(ChatFound("c1", word, (6, 5, 4)))
    pane.search.step(1)
    wait(600)


def blocked(scene: Scene) -> None:
    """A chat with somebody who is blocked."""
    scene.sign_in()
    row = next(row for row in scene.chats() if row.chat_id == "c1")
    scene.session.put_chats([replace(row, blocked=True, online=False, unread=0)])
    scene.open("c1", scene.lucia())


def muted(scene: Scene) -> None:
    """A muted chat: its marks in the list, and its panel."""
    scene.sign_in()
    row = next(row for row in scene.chats() if row.chat_id == "c1")
    scene.session.put_chats([replace(row, muted_until_ms=at(24, 22, 0))])
    scene.open("c1", scene.lucia())
    scene.window.main.toggle_info()
    scene.session.asks.put(ChatInfo("c1", person=PersonInfo(LUCIA, " ".join(["12345"] * 12), devices=2)))


def report(scene: Scene) -> None:
    """A person is reported with two of their messages."""
    scene.sign_in()
    scene.open("c1", [replace(row, mid=f"{row.position:032x}") for row in scene.lucia()])
    scene.window.main.report("lucia")
    dialog = scene.window.main.dialog
    assert isinstance(dialog, ReportDialog)
    dialog.choices[f"{5:032x}"].setChecked(True)
    dialog.words.lines.setPlainText(scene.words["sunday"])
    dialog.block.setChecked(True)


def report_review(scene: Scene) -> None:
    """What would be sent, shown whole."""
    report(scene)
    dialog = scene.window.main.dialog
    assert isinstance(dialog, ReportDialog)
    asked: list[Request] = []
    scene.session.asks.asked.connect(asked.append)
    dialog.go.click()
    text = f"{scene.words['sunday']}\n\n2026-11-24T12:02:00Z lucia: {scene.words['sign']}"
    scene.session.asks.put(ReportDrafted("lucia", text))
    scene.session.asks.finish(asked[-1])


def log_out(scene: Scene) -> None:
    """What logging out means."""
    main_direct(scene)
    scene.window.main.log_out()
    scene.session.asks.put(BackupInfo(1, current=True, saved=40, pending=2, restoring=False))


def offline(scene: Scene) -> None:
    """No connection, a changed identity, messages waiting and one that failed."""
    scene.sign_in()
    scene.session.put_chats([replace(scene.session.chats.find("c5") or scene.chats()[5], identity_changed=True)])
    state = ConnectionState(ConnectionPhase.OFFLINE, "chat.ruiz.es", retry_at_ms=NOW + 8000)
    scene.session.set_connection(state)
    sending, none = MessageState.SENDING, MessageState.NONE
    rows = scene.rows(
        PABLO,
        [
            ("go", at(24, 8, 12), none),
            ("way", at(24, 8, 13), MessageState.READ),
            ("seat", at(24, 8, 13), none),
            ("sun", at(24, 8, 14), MessageState.DELIVERED),
            ("", at(24, 8, 20), none),
            ("tunnel", at(24, 8, 21), sending),
            ("without", at(24, 8, 22), sending),
            ("link", at(24, 8, 23), MessageState.FAILED),
        ],
    )
    rows[4] = replace(rows[4], service=ServiceKind.IDENTITY_CHANGED, service_params={"name": "Pablo"})
    scene.open("c5", rows)


def empty(scene: Scene) -> None:
    """No chat is open."""
    scene.sign_in()


def no_chats(scene: Scene) -> None:
    """A new account."""
    scene.session.set_account(CARMEN)
    scene.session.set_connection(ConnectionState(ConnectionPhase.ONLINE, "chat.ruiz.es"))
    scene.session.set_phase(Phase.READY)
    scene.window.resize(1180, 760)


def narrow(scene: Scene) -> None:
    """One pane."""
    scene.sign_in(440, 760)
    scene.open("c1", scene.lucia(), "m5", 3)


def request(scene: Scene) -> None:
    """A stranger asks."""
    scene.sign_in()
    irene = Person("u3", "irene", "Irene Paz", 5)
    rows = scene.rows(irene, [("hello", at(24, 18, 8), MessageState.NONE), ("🙂", at(24, 18, 8), MessageState.NONE)])
    rows.append(replace(rows[0], key="x", position=9, text="", unreadable=Unreadable.WAITING))
    scene.open("c0", rows)


def toast(scene: Scene) -> None:
    """A short word."""
    main_direct(scene)
    scene.window.main.pane.told.emit(scene.ui.say("message.copied"))


def new_chat(scene: Scene) -> None:
    """A name that nobody has."""
    scene.sign_in()
    scene.window.main.new_chat()
    dialog = scene.window.main.dialog
    if isinstance(dialog, NewChatDialog):
        type_into(dialog.field.line, "brunno")
    scene.session.finish_new_chat("", "unknown_user")


def jump(scene: Scene) -> None:
    """The way to a chat by letters."""
    main_direct(scene)
    scene.window.main.jump()


def shortcuts(scene: Scene) -> None:
    """The keys."""
    main_direct(scene)
    scene.window.main.shortcuts()


def menu(scene: Scene) -> None:
    """The menu."""
    main_direct(scene)
    scene.window.main.sidebar.menu.click()


def focus(scene: Scene) -> None:
    """The focus ring."""
    main_direct(scene)
    wait(60)  # keys go to a window that is in use
    pressed = QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_Shift, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(scene.window.windowHandle(), pressed)
    scene.window.main.sidebar.new_chat.setFocus(Qt.FocusReason.TabFocusReason)


def profiles(scene: Scene) -> None:
    """Pictures in the list, the header, the panel and a group's timeline; name and status in the panel."""
    contact_info(scene)
    chosen = {"c1": LUCIA, "c5": PABLO}
    rows = [replace(row, peer=chosen[row.chat_id].uid) for row in scene.chats() if row.chat_id in chosen]
    group = next(row for row in scene.chats() if row.group)
    scene.session.put_chats([*rows, replace(group, picture=landscape(128, 128))])
    status = {"es": "Hoy, en bici", "en": "On my bike today"}[scene.ui.translator.language]
    shown = [ProfileRow(PABLO.uid, "Pablo Ferrer", status, landscape(256, 256)), ProfileRow(LUCIA.uid, "Lucía")]
    scene.session.profiles.put(shown)


def log_out_erase(scene: Scene) -> None:
    """Logging out for good."""
    main_direct(scene)
    scene.window.main.log_out()
    dialog = scene.window.main.dialog
    assert isinstance(dialog, LogOutDialog)
    dialog.erase.setChecked(True)
