"""The short list of the jump dialog: avatar and name, one row is marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QRectF, Qt, pyqtSignal
from PyQt6.QtGui import QMouseEvent, QPainter, QPaintEvent
from PyQt6.QtWidgets import QWidget

from mensajeria.desktop.theme import fonts
from mensajeria.desktop.widgets import avatar
from mensajeria.desktop.widgets.text_block import elide

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.types import ChatRow

SHOWN, ROW = 7, 48


class JumpList(QWidget):
    """At most seven chats; the marked one is opened by Enter, any by a press."""

    chosen = pyqtSignal(str)

    def __init__(self, ui: UiContext) -> None:
        super().__init__()
        self._ui = ui
        self._rows: list[ChatRow] = []
        self._at, self._nothing = 0, ""
        self.setFixedHeight(SHOWN * ROW)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        ui.theme_changed.connect(self.update)
        ui.faces.ready.connect(self.update)

    def show_rows(self, rows: Sequence[ChatRow], nothing: str) -> None:
        """Show the first rows and mark the first; ``nothing`` is said when there are none."""
        self._rows, self._at, self._nothing = list(rows[:SHOWN]), 0, nothing
        self._name()

    def move_by(self, step: int) -> None:
        """Mark the next or the previous row, round and round."""
        if self._rows:
            self._at = (self._at + step) % len(self._rows)
            self._name()

    @property
    def current_chat(self) -> str:
        """The marked chat's id, or empty."""
        return self._rows[self._at].chat_id if self._rows else ""

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Open the row that is pressed."""
        place = int(event.position().y()) // ROW if event is not None else -1
        if 0 <= place < len(self._rows):
            self.chosen.emit(self._rows[place].chat_id)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """The rows."""
        painter, theme = QPainter(self), self._ui.theme
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if not self._rows:
            painter.setPen(theme["text2"])
            painter.setFont(fonts.font(fonts.PREVIEW))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignHCenter, self._nothing)
        for place, row in enumerate(self._rows):
            box = QRectF(0, place * ROW, self.width(), ROW).adjusted(0, 1, 0, -1)
            if place == self._at:
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(theme["accent_soft"])
                painter.drawRoundedRect(box, 10, 10)
            picture = QRectF(8, box.y() + 7, 32, 32)
            avatar.draw(painter, self._ui, picture, row.title, row.hue, who=row.face, note=row.note_to_self)
            words = QRectF(52, box.y(), self.width() - 64, box.height())
            painter.setPen(theme["text"])
            painter.setFont(fonts.font(fonts.BODY_MEDIUM))
            shown = elide(row.title, fonts.BODY_MEDIUM, words.width())
            painter.drawText(words, Qt.AlignmentFlag.AlignVCenter, shown)

    def _name(self) -> None:
        self.setAccessibleName(self._rows[self._at].title if self._rows else self._nothing)
        self.update()
