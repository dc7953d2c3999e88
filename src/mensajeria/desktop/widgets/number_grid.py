"""A safety number: twelve groups of five digits in a sunken box, four to a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QRectF, QSize, Qt
from PyQt6.QtGui import QPainter, QPaintEvent
from PyQt6.QtWidgets import QSizePolicy, QWidget

from mensajeria.desktop.theme import fonts

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.theme.fonts import Role

LINE, PAD = 30, 14


class NumberGrid(QWidget):
    """`columns` groups to a line."""

    def __init__(self, ui: UiContext, role: Role = fonts.TITLE, *, columns: int = 4) -> None:
        super().__init__()
        self._ui, self._role, self._columns = ui, role, columns
        self._groups: list[str] = []
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        ui.theme_changed.connect(self.update)

    def show_number(self, number: str) -> None:
        """Show a number; its groups are parted by blanks."""
        self._groups = number.split()
        self.setAccessibleName(" ".join(self._groups))
        self.updateGeometry()
        self.update()

    @property
    def text(self) -> str:
        """The whole number."""
        return " ".join(self._groups)

    def sizeHint(self) -> QSize:
        """As many lines as are needed."""
        lines = -(-max(len(self._groups), 1) // self._columns)
        return QSize(200, lines * LINE + 2 * PAD)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """Box and digits, all of one width."""
        painter, theme = QPainter(self), self._ui.theme
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme["surface_sunken"])
        painter.drawRoundedRect(QRectF(self.rect()), 12, 12)
        painter.setPen(theme["text"])
        painter.setFont(fonts.tabular(self._role))
        width = (self.width() - 2 * PAD) / self._columns
        for place, group in enumerate(self._groups):
            line, column = divmod(place, self._columns)
            box = QRectF(PAD + column * width, PAD + line * LINE, width, LINE)
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, group)
