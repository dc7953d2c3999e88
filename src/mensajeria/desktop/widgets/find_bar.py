"""The bar under a chat's header that searches in it: a line, how many were found, up, down, away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QEvent, QObject, Qt, pyqtSignal
from PyQt6.QtGui import QKeyEvent, QPainter, QPaintEvent
from PyQt6.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from mensajeria.desktop.theme import fonts
from mensajeria.desktop.widgets.buttons import IconButton
from mensajeria.desktop.widgets.fields import SearchBox
from mensajeria.desktop.widgets.labels import Label

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext


class FindBar(QWidget):
    """Says what is typed and wanted; knows no chat."""

    edited = pyqtSignal(str)
    step_wanted = pyqtSignal(int)
    """+1: the next older one, -1: the next newer one."""
    closed = pyqtSignal()

    def __init__(self, ui: UiContext) -> None:
        super().__init__()
        self._ui = ui
        self.setFixedHeight(54)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.search = SearchBox(ui, "find.placeholder")
        self.count = Label(ui, role=fonts.CAPTION, ink="text2")
        self.older = IconButton(ui, "find.older", "arrow-up", side=36, glyph=20)
        self.newer = IconButton(ui, "find.newer", "arrow-down", side=36, glyph=20)
        close = IconButton(ui, "find.close", "x", side=36, glyph=20)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 7, 12, 9)
        row.setSpacing(4)
        row.addWidget(self.search, 1)
        row.addSpacing(6)
        for part in (self.count, self.older, self.newer, close):
            row.addWidget(part)
        self.search.edited.connect(self.edited)
        self.search.line.installEventFilter(self)
        self.older.clicked.connect(lambda: self.step_wanted.emit(1))
        self.newer.clicked.connect(lambda: self.step_wanted.emit(-1))
        close.clicked.connect(self.closed)
        ui.theme_changed.connect(self.update)
        self.hide()

    def tell(self, words: str, *, may_step: bool) -> None:
        """How many were found, as a sentence; a screen reader gets it with the line."""
        self.count.show_text(words)
        self.search.line.setAccessibleDescription(words)
        for button in (self.older, self.newer):
            button.setEnabled(may_step)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Enter and the arrows step while the letters go to the line; Esc closes."""
        if watched is self.search.line and isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            return self._press(event)
        return super().eventFilter(watched, event)

    def _press(self, event: QKeyEvent) -> bool:
        back = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        match event.key():
            case Qt.Key.Key_Escape:
                self.closed.emit()
            case Qt.Key.Key_Up:
                self.step_wanted.emit(1)
            case Qt.Key.Key_Down:
                self.step_wanted.emit(-1)
            case Qt.Key.Key_Return | Qt.Key.Key_Enter:
                self.step_wanted.emit(-1 if back else 1)
            case _:
                return False
        return True

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """Surface with a hairline below."""
        painter, theme = QPainter(self), self._ui.theme
        painter.fillRect(self.rect(), theme["bg_window"])
        painter.fillRect(0, self.height() - 1, self.width(), 1, theme["border"])
