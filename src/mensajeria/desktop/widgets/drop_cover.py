"""What covers the chat while files are dragged over it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QRectF, Qt
from PyQt6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PyQt6.QtWidgets import QWidget

from mensajeria.desktop.theme import fonts, icons

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext


class DropCover(QWidget):
    """A dashed frame and a sentence; lets the drag through to what lies under it."""

    def __init__(self, ui: UiContext, parent: QWidget) -> None:
        super().__init__(parent)
        self._ui = ui
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.hide()

    def cover(self) -> None:
        """Show it over all of the parent."""
        parent = self.parentWidget()
        if parent is not None:
            self.setGeometry(parent.rect())
        self.show()
        self.raise_()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """Veil, frame, words."""
        painter, theme = QPainter(self), self._ui.theme
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        veil = QColor(theme["bg_window"])
        veil.setAlphaF(0.92)
        painter.fillRect(self.rect(), veil)
        painter.setPen(QPen(theme["accent"], 2, Qt.PenStyle.DashLine))
        box = QRectF(self.rect()).adjusted(20, 20, -20, -20)
        painter.drawRoundedRect(box, 16, 16)
        middle = box.center()
        icon = QRectF(middle.x() - 20, middle.y() - 44, 40, 40)
        icons.draw(painter, "paperclip", icon, theme["accent_text"])
        painter.setPen(theme["text"])
        painter.setFont(fonts.font(fonts.HEADING))
        words = QRectF(box.left(), middle.y() + 6, box.width(), 24)
        painter.drawText(words, Qt.AlignmentFlag.AlignCenter, self._ui.say("message.drop"))
