"""The bar over the timeline: whose chat it is, and that it is encrypted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import pyqtSignal
from PyQt6.QtGui import QPainter, QPaintEvent, QResizeEvent
from PyQt6.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from mensajeria.desktop.theme import fonts
from mensajeria.desktop.viewmodels.types import ConnectionPhase
from mensajeria.desktop.widgets.avatar import Avatar
from mensajeria.desktop.widgets.buttons import IconButton
from mensajeria.desktop.widgets.labels import ElidedLabel
from mensajeria.desktop.widgets.signs import Sign

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.types import ChatRow, ConnectionState

SHORT_BELOW = 640


class ChatHeader(QWidget):
    """Avatar, name, state; in a narrow window also the way back."""

    back = pyqtSignal()
    info_wanted = pyqtSignal()
    search_wanted = pyqtSignal()

    def __init__(self, ui: UiContext) -> None:
        super().__init__()
        self._ui = ui
        self._row: ChatRow | None = None
        self._connection: ConnectionState | None = None
        self._told = ""
        self.setFixedHeight(64)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._back = IconButton(ui, "header.back", "arrow-left")
        self._back.clicked.connect(self.back)
        self._back.hide()
        self._avatar = Avatar(ui, 40)
        self._name = ElidedLabel(ui, fonts.HEADING)
        self._shield = Sign(ui, "shield-check-fill", 16, "accent_text")
        self._lock = Sign(ui, "lock-key-fill", 13, "text2")
        self._state = ElidedLabel(ui, fonts.CAPTION, "text2")
        self.search = IconButton(ui, "header.search", "magnifying-glass")
        self.search.clicked.connect(self.search_wanted)
        self.info = IconButton(ui, "header.info", "info")
        self.info.setCheckable(True)
        self.info.clicked.connect(self.info_wanted)
        self._build()
        ui.language_changed.connect(self._tell)
        ui.theme_changed.connect(self.update)

    def _build(self) -> None:
        first, second, lines = QHBoxLayout(), QHBoxLayout(), QVBoxLayout()
        first.setSpacing(6)
        first.addWidget(self._name)
        first.addWidget(self._shield)
        first.addStretch(1)
        second.setSpacing(4)
        second.addWidget(self._lock)
        second.addWidget(self._state, 1)
        lines.setSpacing(0)
        lines.addStretch()
        lines.addLayout(first)
        lines.addLayout(second)
        lines.addStretch()
        row = QHBoxLayout(self)
        row.setContentsMargins(20, 0, 16, 1)
        row.setSpacing(12)
        row.addWidget(self._back)
        row.addWidget(self._avatar)
        row.addLayout(lines, 1)
        row.addWidget(self.search)
        row.addWidget(self.info)
        self._outer = row

    def show_chat(self, row: ChatRow) -> None:
        """Show another chat, or its changes."""
        self._row = row
        online = row.online and not self._offline
        self._avatar.show_person(row.title, row.hue, who=row.face, online=online, note=row.note_to_self)
        self._name.show_text(row.title)
        self._shield.setVisible(row.verified)
        self._tell()

    def show_told(self, name: str) -> None:
        """The name in the person's profile: their own words, in the second line, away from the shield."""
        if name != self._told:
            self._told = name
            self._tell()

    def show_connection(self, state: ConnectionState) -> None:
        """Without a connection, presence is not known."""
        self._connection = state
        if self._row is not None:
            self.show_chat(self._row)

    def set_narrow(self, narrow: bool) -> None:
        """Show the way back to the list."""
        self._back.setVisible(narrow)
        self._outer.setContentsMargins(8 if narrow else 20, 0, 16, 1)

    def show_info_open(self, shown: bool) -> None:
        """The panel beside the chat is open (or not): its button shows it."""
        self.info.setChecked(shown)
        self.info.set_icon("info-fill" if shown else "info")
        self.info.set_ink("accent_text" if shown else "text2")

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Fewer words fit in a narrow bar."""
        super().resizeEvent(event)
        self._tell()

    @property
    def _offline(self) -> bool:
        return self._connection is not None and self._connection.phase is ConnectionPhase.OFFLINE

    def _tell(self) -> None:
        if self._row is None:
            return
        say, row = self._ui.say, self._row
        offline = self._offline
        if row.typing and not offline:
            self._lock.hide()
            self._state.show_text(say("chat.is_typing", name=row.typist or row.title), "accent_text")
            return
        self._lock.setVisible(not offline)
        if offline:
            words = say("header.waiting")
        elif row.group:
            words = say("group.members", count=row.members)
        elif self.width() < SHORT_BELOW:
            words = say("header.encrypted_short")
        else:
            words = say("header.encrypted")
        online = f" · {say('chat.online')}" if row.online and not offline else ""
        told = f" · {say('header.told', name=self._told)}" if self._told else ""
        self._state.show_text(words + online + told, "text2")

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """Surface with a hairline below."""
        painter, theme = QPainter(self), self._ui.theme
        painter.fillRect(self.rect(), theme["bg_window"])
        painter.fillRect(0, self.height() - 1, self.width(), 1, theme["border"])
