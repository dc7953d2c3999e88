"""A labelled box of several lines: to write in, or to read and copy from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QRectF, Qt, pyqtSignal
from PyQt6.QtGui import QFocusEvent, QKeyEvent, QPainter, QPaintEvent, QPen, QTextOption
from PyQt6.QtWidgets import QFrame, QPlainTextEdit, QSizePolicy, QVBoxLayout, QWidget

from mensajeria.desktop.qt import present
from mensajeria.desktop.theme import fonts
from mensajeria.desktop.widgets.labels import Label

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext


class PlainLines(QPlainTextEdit):
    """Plain text without a frame of its own; Tab goes on, Esc is the dialog's."""

    focus_changed = pyqtSignal()

    def __init__(self) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setTabChangesFocus(True)
        self.setFont(fonts.font(fonts.BODY))
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        present(self.document()).setDocumentMargin(0)
        present(self.viewport()).setAutoFillBackground(False)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Esc is not for the text."""
        if event is not None and event.key() == Qt.Key.Key_Escape:
            event.ignore()
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent | None) -> None:
        """Tell the frame."""
        super().focusInEvent(event)
        self.focus_changed.emit()

    def focusOutEvent(self, event: QFocusEvent | None) -> None:
        """Tell the frame."""
        super().focusOutEvent(event)
        self.focus_changed.emit()


class LinesFrame(QWidget):
    """The outlined box around the lines."""

    def __init__(self, ui: UiContext, lines: PlainLines, height: int) -> None:
        super().__init__()
        self._ui, self._lines = ui, lines
        self.setFixedHeight(height)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 10, 6, 10)
        column.addWidget(lines)
        lines.focus_changed.connect(self.update)
        ui.theme_changed.connect(self.update)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """Outline: strong, accent with focus; what can only be read stands on a sunken ground."""
        painter, theme = QPainter(self), self._ui.theme
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        focused = self._lines.hasFocus()
        width = 2.0 if focused else 1.0
        painter.setPen(QPen(theme["accent" if focused else "border_strong"], width))
        painter.setBrush(theme["surface_sunken" if self._lines.isReadOnly() else "surface_raised"])
        half = width / 2
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(half, half, -half, -half), 10, 10)


class TextArea(QWidget):
    """Label and lines; never more than ``limit`` characters are taken."""

    def __init__(self, ui: UiContext, label: str, *, height: int = 104, limit: int = 0, placeholder: str = "") -> None:
        super().__init__()
        self._ui, self._label_key, self._placeholder, self._limit = ui, label, placeholder, limit
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.label = Label(ui, label, fonts.LABEL)
        self.lines = PlainLines()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.label)
        column.addWidget(LinesFrame(ui, self.lines, height))
        self.label.setBuddy(self.lines)
        self.setFocusProxy(self.lines)
        self.lines.textChanged.connect(self._shorten)
        ui.language_changed.connect(self._translate)
        self._translate()

    @property
    def text(self) -> str:
        """What stands in the lines."""
        return self.lines.toPlainText()

    def _shorten(self) -> None:
        if self._limit and len(self.text) > self._limit:
            cursor = self.lines.textCursor()
            at = cursor.position()
            kept = self.text[: self._limit]
            self.lines.setPlainText(kept)
            cursor.setPosition(min(at, len(kept)))
            self.lines.setTextCursor(cursor)

    def _translate(self) -> None:
        self.lines.setAccessibleName(self._ui.say(self._label_key))
        if self._placeholder:
            self.lines.setPlaceholderText(self._ui.say(self._placeholder))
