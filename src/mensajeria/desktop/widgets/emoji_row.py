"""The emoji that two people compare: symbols with their names below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import QRectF, QSize, Qt
from PyQt6.QtGui import QPainter, QPaintEvent
from PyQt6.QtWidgets import QSizePolicy, QWidget

from mensajeria.desktop.theme import fonts

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext

COLUMNS: Final = 4
_CELL: Final = 84


class EmojiRow(QWidget):
    """Seven symbols in two lines, in the order in which both sides have them."""

    def __init__(self, ui: UiContext) -> None:
        super().__init__()
        self._ui = ui
        self._emoji: tuple[tuple[str, str], ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        ui.theme_changed.connect(self.update)
        ui.language_changed.connect(self._name)

    def show_emoji(self, emoji: tuple[tuple[str, str], ...]) -> None:
        """Show (symbol, name); the name keys the word."""
        self._emoji = emoji
        self._name()

    def sizeHint(self) -> QSize:
        """Two lines for seven."""
        return QSize(200, _CELL * -(-len(self._emoji) // COLUMNS))

    def _name(self) -> None:
        self.setAccessibleName(", ".join(self._ui.say(f"emoji.{name}") for _, name in self._emoji))
        self.updateGeometry()
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """Symbols and words."""
        painter, theme = QPainter(self), self._ui.theme
        painter.setPen(theme["text"])
        width = self.width() / COLUMNS
        for place, (symbol, name) in enumerate(self._emoji):
            line, column = divmod(place, COLUMNS)
            held = min(COLUMNS, len(self._emoji) - line * COLUMNS)
            left = (self.width() - held * width) / 2 + column * width
            painter.setFont(fonts.emoji(36))
            painter.drawText(QRectF(left, line * _CELL, width, 52), Qt.AlignmentFlag.AlignCenter, symbol)
            painter.setFont(fonts.font(fonts.CAPTION_MEDIUM))
            box = QRectF(left, line * _CELL + 54, width, 18)
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, self._ui.say(f"emoji.{name}"))
