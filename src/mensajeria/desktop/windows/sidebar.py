"""The left column: who I am, new chat, menu, search, filters, connection, chats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QTimer, pyqtSignal
from PyQt6.QtGui import QPainter, QPaintEvent
from PyQt6.QtWidgets import QButtonGroup, QHBoxLayout, QVBoxLayout, QWidget

from mensajeria.desktop.theme import fonts
from mensajeria.desktop.viewmodels.types import ConnectionPhase
from mensajeria.desktop.widgets import banner
from mensajeria.desktop.widgets.avatar import Avatar
from mensajeria.desktop.widgets.banner import Banner
from mensajeria.desktop.widgets.buttons import Chip, IconButton
from mensajeria.desktop.widgets.chat_view import ChatView
from mensajeria.desktop.widgets.fields import SearchBox
from mensajeria.desktop.widgets.labels import Label

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.viewmodels.types import Person

WIDTH, NARROWEST, WIDEST = 347, 280, 420
"""Width of the column; a handle of one pixel stands at its right."""


class ConnectionBanner(Banner):
    """Says what is wrong with the link to the server, and counts down to the next try."""

    def __init__(self, ui: UiContext, session: SessionModel) -> None:
        super().__init__(ui)
        self._session = session
        self._tick = QTimer(self)
        self._tick.setInterval(1000)
        self._tick.timeout.connect(self.refresh)
        self.acted.connect(self._act)
        session.connection_changed.connect(self.refresh)
        ui.language_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session's connection."""
        state, say = self._session.connection, self._ui.say
        counting = state.phase is ConnectionPhase.OFFLINE and state.retry_at_ms > 0
        if counting != self._tick.isActive():
            self._tick.start() if counting else self._tick.stop()
        match state.phase:
            case ConnectionPhase.ONLINE:
                self.hide()
            case ConnectionPhase.CONNECTING:
                self.tell(banner.BUSY, say("connection.connecting"), state.server)
            case ConnectionPhase.CATCHING_UP:
                detail = say("connection.pending", count=state.pending) if state.pending else ""
                self.tell(banner.BUSY, say("connection.catching_up"), detail)
            case ConnectionPhase.OFFLINE:
                self.tell(banner.OFFLINE, say("connection.offline"), self._when(), "action.retry")
            case ConnectionPhase.SESSION_EXPIRED:
                title, text = say("connection.expired"), say("connection.expired_text")
                self.tell(banner.BAD, title, text, "action.sign_in")
            case ConnectionPhase.SECURITY:
                text = self._ui.translator.error(state.error) if state.error else ""
                self.tell(banner.BAD, say("connection.security"), text)

    def _when(self) -> str:
        state, say = self._session.connection, self._ui.say
        if not state.retry_at_ms:
            return say("connection.later")
        seconds = max(1, round((state.retry_at_ms - self._ui.wording.now_ms()) / 1000))
        return say("connection.retry_in", seconds=seconds)

    def _act(self) -> None:
        if self._session.connection.phase is ConnectionPhase.SESSION_EXPIRED:
            self._session.sign_in_again()
        else:
            self._session.retry_connection()


class Sidebar(QWidget):
    """Emits what is wanted of the window; opens chats itself."""

    new_chat_wanted = pyqtSignal()
    menu_wanted = pyqtSignal(object)
    """(the button under which the menu opens)"""

    def __init__(self, ui: UiContext, session: SessionModel, parent: QWidget) -> None:
        super().__init__(parent)
        self._ui, self._session = ui, session
        self.setMinimumWidth(NARROWEST)
        self._me = Avatar(ui, 36)
        self.new_chat = IconButton(ui, "sidebar.new_chat", "note-pencil")
        self.menu = IconButton(ui, "sidebar.menu", "dots-three-vertical")
        self.search = SearchBox(ui, "sidebar.search")
        self.everything = Chip(ui, "sidebar.all")
        self.unread = Chip(ui, "sidebar.unread_none")
        self.groups = Chip(ui, "sidebar.groups")
        self.connection = ConnectionBanner(ui, session)
        self.chats = ChatView(ui, session)
        self._build()
        self.new_chat.clicked.connect(self.new_chat_wanted)
        self.menu.clicked.connect(lambda: self.menu_wanted.emit(self.menu))
        self.search.edited.connect(self._filter)
        self.search.submitted.connect(self._open_first)
        for chip in (self.unread, self.groups):
            chip.toggled.connect(self._filter)
        self.chats.chosen.connect(session.open_chat)
        session.account_changed.connect(self._show_me)
        session.chats.counts_changed.connect(self._count)
        ui.theme_changed.connect(self.update)
        if session.account is not None:
            self._show_me(session.account)
        self._count()

    def _build(self) -> None:
        top = QHBoxLayout()
        top.setContentsMargins(16, 4, 12, 0)
        top.setSpacing(10)
        top.addWidget(self._me)
        top.addWidget(Label(self._ui, "sidebar.title", fonts.TITLE), 1)
        top.addWidget(self.new_chat)
        top.addWidget(self.menu)
        head = QWidget()
        head.setFixedHeight(58)
        head.setLayout(top)
        find = QHBoxLayout()
        find.setContentsMargins(16, 0, 15, 0)
        find.addWidget(self.search)
        chips = QHBoxLayout()
        chips.setContentsMargins(16, 8, 16, 9)
        chips.setSpacing(6)
        group = QButtonGroup(self)
        for chip in (self.everything, self.unread, self.groups):
            group.addButton(chip)
            chips.addWidget(chip)
        chips.addStretch()
        self.everything.setChecked(True)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(head)
        column.addLayout(find)
        column.addLayout(chips)
        column.addWidget(self.connection)
        column.addWidget(self.chats, 1)

    def clear_search(self) -> bool:
        """Empty the search; false when it was empty."""
        had = bool(self.search.line.text())
        self.search.line.clear()
        return had

    def _show_me(self, account: Person) -> None:
        self._me.show_person(account.shown_name, account.hue, who=account.uid)
        self._me.setToolTip(f"{account.shown_name} · @{account.handle}")
        self._me.setAccessibleName(account.shown_name)

    def _filter(self) -> None:
        text = self.search.line.text()
        self._session.chats.set_filter(
            text,
            unread_only=self.unread.isChecked(),
            groups_only=self.groups.isChecked(),
            keep=self._session.current,
        )
        self.chats.set_needle(text.strip())

    def _count(self) -> None:
        count = self._session.chats.unread_chats
        if count:
            self.unread.say("sidebar.unread", count=count)
        else:
            self.unread.say("sidebar.unread_none")

    def _open_first(self) -> None:
        if self._session.chats.visible:
            self._session.open_chat(self._session.chats.visible[0].chat_id)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """The surface."""
        QPainter(self).fillRect(self.rect(), self._ui.theme["bg_window"])
