"""The bar under a chat that a stranger began: accept or decline before anything is told to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import pyqtSignal
from PyQt6.QtGui import QPainter, QPaintEvent
from PyQt6.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from mensajeria.desktop.theme import fonts
from mensajeria.desktop.widgets.buttons import Button, Kind
from mensajeria.desktop.widgets.labels import Label

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext


class RequestBar(QWidget):
    """Takes the composer's place."""

    accepted = pyqtSignal()
    declined = pyqtSignal()

    def __init__(self, ui: UiContext) -> None:
        super().__init__()
        self._ui = ui
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self._title = Label(ui, role=fonts.LABEL, wrap=True)
        text = Label(ui, "request.text", fonts.CAPTION, "text2", wrap=True)
        self.decline = Button(ui, "request.decline", Kind.DANGER)
        self.accept = Button(ui, "request.accept", Kind.PRIMARY)
        self.decline.clicked.connect(self.declined)
        self.accept.clicked.connect(self.accepted)
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(self._title)
        words.addWidget(text)
        row = QHBoxLayout(self)
        row.setContentsMargins(20, 12, 16, 12)
        row.setSpacing(10)
        row.addLayout(words, 1)
        row.addWidget(self.decline)
        row.addWidget(self.accept)
        ui.theme_changed.connect(self.update)

    def show_name(self, name: str) -> None:
        """Who is asking."""
        self._title.say("request.title", name=name)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """Surface with a hairline above."""
        painter, theme = QPainter(self), self._ui.theme
        painter.fillRect(self.rect(), theme["bg_window"])
        painter.fillRect(0, 0, self.width(), 1, theme["border"])
