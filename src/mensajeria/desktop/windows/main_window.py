"""The main window: sidebar and chat side by side, or one of them when it is narrow; keyboard, menu, dialogs, toasts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QPoint, QSize, Qt
from PyQt6.QtGui import QKeyEvent, QKeySequence, QResizeEvent, QShortcut
from PyQt6.QtWidgets import QApplication, QHBoxLayout, QSplitter, QWidget

from mensajeria.desktop.viewmodels.asking import (
    ChangeRole,
    Comparison,
    Devices,
    LeaveGroup,
    LinkUsed,
    LookAtChat,
    Mute,
    RemoveMember,
    RenewIdentity,
    ReportSent,
    SetBlocked,
    SetGroupPicture,
)
from mensajeria.desktop.widgets.dialog import Dialog, Scrim
from mensajeria.desktop.widgets.menu import Menu
from mensajeria.desktop.widgets.picture_choice import choose_picture
from mensajeria.desktop.widgets.toast import Toast
from mensajeria.desktop.windows.chat_pane import ChatPane
from mensajeria.desktop.windows.dialogs import JumpDialog, NewChatDialog, ShortcutsDialog
from mensajeria.desktop.windows.group_dialogs import AddMembersDialog, ConfirmDialog, NewGroupDialog, RenameGroupDialog
from mensajeria.desktop.windows.info_panel import InfoPanel
from mensajeria.desktop.windows.log_out import LogOutDialog
from mensajeria.desktop.windows.report import ReportDialog
from mensajeria.desktop.windows.reset import AnewDialog
from mensajeria.desktop.windows.settings import SettingsDialog
from mensajeria.desktop.windows.sidebar import NARROWEST, WIDEST, WIDTH, Sidebar
from mensajeria.desktop.windows.verify import VerifyDialog

if TYPE_CHECKING:
    from collections.abc import Callable

    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.asking import Request
    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.viewmodels.types import ErrorNotice

_TOLD = (LeaveGroup, RemoveMember, ChangeRole, LookAtChat, SetBlocked, Mute)
"""Requests that no dialog waits for."""
NARROW_BELOW = 720
OVERLAY_BELOW = 1100
"""Below this width the panel lies over the chat."""


class MainWindow(QWidget):
    """What a signed-in person sees.

    The parts are made in their places: Qt would dress all that a part holds again at each move.
    """

    def __init__(self, ui: UiContext, session: SessionModel, parent: QWidget) -> None:
        super().__init__(parent)
        self._ui, self._session = ui, session
        self._narrow = False
        self._splitter = QSplitter(Qt.Orientation.Horizontal, self)
        self._splitter.setHandleWidth(1)
        self._splitter.setChildrenCollapsible(False)
        self.sidebar = Sidebar(ui, session, self._splitter)
        self.pane = ChatPane(ui, session, self._splitter)
        self.info = InfoPanel(ui, session)
        self.info.hide()
        self._splitter.addWidget(self.sidebar)
        self._splitter.addWidget(self.pane)
        self._splitter.setStretchFactor(1, 1)
        self._splitter.setSizes([WIDTH, 832])
        whole = QHBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(self._splitter, 1)
        whole.addWidget(self.info)
        self._whole = whole
        self._scrim = Scrim(ui, self)
        self.toast = Toast(ui, self, 84, self.pane)
        self.dialog: Dialog | None = None
        self._wire()
        self._bind_keys()
        self._arrange()

    def sizeHint(self) -> QSize:
        """The usual size."""
        return QSize(1180, 760)

    def _wire(self) -> None:
        self.sidebar.new_chat_wanted.connect(self.new_chat)
        self.sidebar.menu_wanted.connect(self._show_menu)
        self.pane.empty.card.new_chat_wanted.connect(self.new_chat)
        self.pane.empty.card.new_group_wanted.connect(self.new_group)
        self.pane.told.connect(self.toast.tell)
        self.pane.dialog_wanted.connect(self._present_made)
        self.pane.back.connect(self._session.leave_chat)
        self.pane.verify_wanted.connect(self.verify)
        self.pane.header.info_wanted.connect(self.toggle_info)
        self._scrim.pressed.connect(self.close_info)
        self.info.closed.connect(self.close_info)
        self.info.verify_wanted.connect(self.verify)
        self.info.block_wanted.connect(self._set_blocked)
        self.info.report_wanted.connect(self.report)
        self.pane.unblock_wanted.connect(lambda handle: self._set_blocked(handle, on=False))
        self.info.add_wanted.connect(self._add_members)
        self.info.rename_wanted.connect(self._rename_group)
        self.info.picture_wanted.connect(self._group_picture)
        self.info.leave_wanted.connect(self._leave_group)
        self.info.remove_wanted.connect(self._remove_member)
        self.info.role_wanted.connect(self._change_role)
        self._session.asks.finished.connect(self._ended)
        self._session.asks.answered.connect(self._answered)
        self._session.current_changed.connect(self._arrange)
        self._session.noticed.connect(self._tell)

    def _bind_keys(self) -> None:
        ui = self._ui
        bindings: list[tuple[str, Callable[[], object]]] = [
            ("Ctrl+K", self.jump),
            ("Ctrl+N", self.new_chat),
            ("Ctrl+Shift+N", self.new_group),
            ("Ctrl+Shift+I", self.toggle_info),
            ("Ctrl+Shift+F", self.sidebar.search.line.setFocus),
            ("Alt+Up", lambda: self._step_chat(-1)),
            ("Alt+Down", lambda: self._step_chat(1)),
            ("Alt+Shift+Up", lambda: self._step_chat(-1, unread=True)),
            ("Alt+Shift+Down", lambda: self._step_chat(1, unread=True)),
            ("F6", lambda: self._cycle(1)),
            ("Shift+F6", lambda: self._cycle(-1)),
            ("Ctrl+End", self.pane.jump.click),
            ("Ctrl+,", self.settings),
            ("F1", self.shortcuts),
            ("Ctrl+/", self.shortcuts),
            ("Ctrl++", lambda: ui.step_text_size(1)),
            ("Ctrl+=", lambda: ui.step_text_size(1)),
            ("Ctrl+-", lambda: ui.step_text_size(-1)),
            ("Ctrl+0", lambda: ui.step_text_size(0)),
            ("Ctrl+Q", self._session.quit),
        ]
        for keys, act in bindings:
            QShortcut(QKeySequence(keys), self).activated.connect(act)

    # ---- dialogs and menu ------------------------------------------------------------------------------------

    def new_chat(self) -> None:
        """Ask for a name and open a chat."""
        if self.dialog is None:
            dialog = NewChatDialog(self._ui, self._session, self)
            dialog.group_wanted.connect(self.new_group)
            self._present(dialog, dialog.field.line)

    def new_group(self) -> None:
        """Ask for a name and people, and make a group."""
        if self.dialog is None:
            dialog = NewGroupDialog(self._ui, self._session, self)
            self._present(dialog, dialog.name.line)

    def jump(self) -> None:
        """Go to a chat by a few letters."""
        if self.dialog is None:
            dialog = JumpDialog(self._ui, self._session, self)
            self._present(dialog, dialog.search.line)

    def settings(self, page: str = "appearance") -> None:
        """Show a page of the settings."""
        if self.dialog is None:
            dialog = SettingsDialog(self._ui, self._session, self, page)
            dialog.log_out_wanted.connect(self._leave_settings)
            self._present(dialog)

    def _leave_settings(self) -> None:
        if self.dialog is not None:
            self.dialog.dismiss()
        self.log_out()

    def log_out(self) -> None:
        """Say what logging out means, and do it."""
        if self.dialog is None:
            dialog = LogOutDialog(self._ui, self._session, self)
            self._present(dialog, dialog.cancel)

    def tell_anew(self) -> None:
        """Say what there is to be done after a new beginning."""
        if self.dialog is None:
            dialog = AnewDialog(self._ui, self)
            self._present(dialog, dialog.go)

    def shortcuts(self) -> None:
        """Show the keys."""
        if self.dialog is None:
            self._present(ShortcutsDialog(self._ui, self))

    # ---- the panel beside the chat ---------------------------------------------------------------------------

    def toggle_info(self) -> None:
        """Show or hide what there is to know about the open chat."""
        if self.info.isVisible():
            self.close_info()
        elif self._session.current and self.dialog is None:
            self.pane.header.show_info_open(True)
            self._place_info()
            self.info.open()
            self._arrange()
            self.info.close_button.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def close_info(self) -> None:
        """Hide the panel."""
        had = self.info.isAncestorOf(QApplication.focusWidget() or self)
        self.info.hide()
        self._scrim.hide()
        self.pane.header.show_info_open(False)
        if had and self.pane.header.info.isVisible():
            self.pane.header.info.setFocus(Qt.FocusReason.OtherFocusReason)

    def _place_info(self) -> None:
        """Beside the chat where there is room, else over it."""
        over = self.width() < OVERLAY_BELOW
        if over and self._whole.indexOf(self.info) >= 0:
            self._whole.removeWidget(self.info)
        elif not over and self._whole.indexOf(self.info) < 0:
            self._whole.addWidget(self.info)
        if over:
            self.info.setGeometry(self.width() - self.info.width(), 0, self.info.width(), self.height())
            self._scrim.setGeometry(self.rect())
            self._scrim.raise_()
            self.info.raise_()

    def verify(self, handle: str) -> None:
        """Make sure of a person."""
        if self.dialog is None:
            self._present(VerifyDialog(self._ui, self._session, self, handle))

    def report(self, handle: str) -> None:
        """Tell the operator about a person."""
        if self.dialog is None:
            dialog = ReportDialog(self._ui, self._session, self, handle)
            self._present(dialog, dialog.words.lines)

    def _add_members(self, chat_id: str) -> None:
        if self.dialog is None:
            dialog = AddMembersDialog(self._ui, self._session, self, chat_id)
            self._present(dialog, dialog.people.field.line)

    def _rename_group(self, chat_id: str) -> None:
        row = self._session.chats.find(chat_id)
        if self.dialog is None and row is not None:
            known = self.info.info
            description = known.description if known is not None and known.chat_id == chat_id else ""
            dialog = RenameGroupDialog(self._ui, self._session, self, chat_id, row.title, description)
            self._present(dialog, dialog.name.line)

    def _group_picture(self, chat_id: str, other: bool) -> None:
        path = choose_picture(self, self._ui) if other else None
        if path is not None or not other:
            self._session.asks.ask(SetGroupPicture(chat_id, path))

    def _leave_group(self, chat_id: str) -> None:
        self._confirm("leave_group", LeaveGroup(chat_id))

    def _remove_member(self, chat_id: str, handle: str) -> None:
        self._confirm("remove_member", RemoveMember(chat_id, handle), name=handle)

    def _set_blocked(self, handle: str, on: bool) -> None:
        self._confirm("block" if on else "unblock", SetBlocked(handle, on), name=handle, danger=on)

    def _change_role(self, chat_id: str, handle: str, role: str) -> None:
        request = ChangeRole(chat_id, handle, role)
        if role == "owner":
            self._confirm("hand_over", request, name=handle)
        else:
            self._session.asks.ask(request)

    def _confirm(self, key: str, request: Request, name: str = "", *, danger: bool = True) -> None:
        if self.dialog is None:
            dialog = ConfirmDialog(self._ui, self, key, danger=danger, name=name)
            dialog.confirmed.connect(lambda: self._session.asks.ask(request))
            self._present(dialog, dialog.cancel)

    def _answered(self, answer: object) -> None:
        """Somebody asks to compare emoji, or the account has a new device: said wherever one is."""
        if isinstance(answer, Comparison) and answer.phase == "incoming" and self.dialog is None:
            self.toast.tell(self._ui.say("verification.incoming", name=answer.person.shown_name))
        elif isinstance(answer, ReportSent):
            self.toast.tell(self._ui.say("report.sent", number=answer.number))
        elif isinstance(answer, LinkUsed) and self.dialog is None:
            self.toast.tell(self._ui.say("devices.linked", name=answer.name))
        elif isinstance(answer, Devices) and self.dialog is None and (new := self._session.asks.new_devices):
            words = self._ui.say("devices.new", name=new[0].name)
            self.toast.tell(f"{words} {self._ui.say('devices.new_text')}", good=False)

    def _ended(self, request: object, error: ErrorNotice | None) -> None:
        """What no dialog waits for: a failure is a toast."""
        if error is not None and isinstance(request, _TOLD):
            self._tell(error)
        elif isinstance(request, RenewIdentity) and self.dialog is None:  # its page was closed meanwhile
            self._tell(error) if error is not None else self.toast.tell(self._ui.say("renewal.done"))

    def _present_made(self, make: Callable[[QWidget], tuple[Dialog, QWidget | None]]) -> None:
        """Show a dialog of the chat's, unless there is one already."""
        if self.dialog is None:
            self._present(*make(self))

    def _present(self, dialog: Dialog, first: QWidget | None = None) -> None:
        self.dialog = dialog
        dialog.closed.connect(self._forget_dialog)
        dialog.present(first)

    def _forget_dialog(self) -> None:
        self.dialog = None

    def _show_menu(self, button: QWidget) -> None:
        menu = Menu(self._ui, self)
        menu.add("menu.settings", "gear", self.settings, "Ctrl ,")
        menu.add("menu.shortcuts", "keyboard", self.shortcuts, "F1")
        menu.addSeparator()
        menu.add("menu.log_out", "sign-out", self.log_out)
        menu.add("menu.quit", "power", self._session.quit, "Ctrl Q")
        menu.popup(
            button.mapToGlobal(
                QPoint(button.width() - max(menu.sizeHint().width(), menu.minimumWidth()), button.height() + 4)
            )
        )

    def _tell(self, notice: ErrorNotice) -> None:
        self.toast.tell(self._ui.translator.error(notice.code, notice.params), good=False)

    # ---- layout ----------------------------------------------------------------------------------------------

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """One pane or two."""
        super().resizeEvent(event)
        self._place_info()
        self._arrange()

    def _arrange(self) -> None:
        narrow = self.width() < NARROW_BELOW
        chat_open = bool(self._session.current)
        self.pane.header.set_narrow(narrow)
        self.sidebar.setMaximumWidth(16_777_215 if narrow else WIDEST)
        self.sidebar.setMinimumWidth(NARROWEST)
        self.sidebar.setVisible(not narrow or not chat_open)
        self.pane.setVisible(not narrow or chat_open)
        if self._narrow and not narrow:
            self._splitter.setSizes([WIDTH, self.width() - WIDTH - 1])
        self._narrow = narrow
        self._scrim.setVisible(self.info.isVisible() and self.width() < OVERLAY_BELOW)

    # ---- keyboard --------------------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Esc goes one step back; a letter typed anywhere goes to the composer."""
        if event is None or self.dialog is not None:
            return
        if event.key() == Qt.Key.Key_Escape:
            self._step_back()
            return
        plain = not event.modifiers() & ~(Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.KeypadModifier)
        if plain and event.text() and event.text().isprintable() and self.pane.composer.isVisible():
            self.pane.composer.type_into(event)
            return
        super().keyPressEvent(event)

    def _step_back(self) -> None:
        if self.pane.step_back():
            return
        if self.info.isVisible():
            self.close_info()
        elif not self.sidebar.clear_search() and self._session.current:
            self._session.leave_chat()
            self.sidebar.chats.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _step_chat(self, step: int, *, unread: bool = False) -> None:
        rows = self._session.chats.visible
        at = self._session.chats.position(self._session.current)
        if at < 0:
            at = -1 if step > 0 else len(rows)
        at += step
        while 0 <= at < len(rows) and unread and not rows[at].unread:
            at += step
        if 0 <= at < len(rows):
            self._session.open_chat(rows[at].chat_id)

    def _cycle(self, step: int) -> None:
        stops: list[QWidget] = [self.sidebar.chats, self.pane.timeline, self.pane.composer.editor]
        stops.append(self.info.close_button)
        stops = [stop for stop in stops if stop.isVisible()]
        at = next((place for place, stop in enumerate(stops) if stop.hasFocus()), -1 if step > 0 else 0)
        if stops:
            stops[(at + step) % len(stops)].setFocus(Qt.FocusReason.TabFocusReason)
