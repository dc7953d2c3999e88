"""The round button back to the newest message, with the number of those not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QRectF, Qt
from PyQt6.QtGui import QPainter, QPaintEvent

from mensajeria.desktop.theme import fonts, icons, shadow
from mensajeria.desktop.widgets.buttons import PaintedButton

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext

SIDE, MARGIN = 44, 14
"""Diameter of the disc and room around it for shadow and badge, px."""


class JumpButton(PaintedButton):
    """A disc of 44 px inside a widget that leaves room for its shadow and badge."""

    ring_radius = 22.0

    def __init__(self, ui: UiContext) -> None:
        super().__init__(ui, "timeline.jump")
        self._count = 0
        self.setFixedSize(SIDE + 2 * MARGIN, SIDE + 2 * MARGIN)
        self.hide()

    def translate(self) -> None:
        """The words are shown as the tooltip."""
        super().translate()
        self.setToolTip(self.text())

    def show_count(self, count: int) -> None:
        """Number in the badge; 0 shows none."""
        self._count = count
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """Shadow, disc, caret, badge."""
        painter, theme = self.start(), self.ui.theme
        disc = QRectF(MARGIN, MARGIN, SIDE, SIDE)
        shadow.draw(painter, disc, SIDE / 2, shadow.FLOATING, theme["shadow"])
        painter.setBrush(theme["pressed" if self.hovered else "surface_raised"])
        painter.drawEllipse(disc.adjusted(0.5, 0.5, -0.5, -0.5))
        icons.draw(painter, "caret-down", disc.adjusted(12, 12, -12, -12), theme["text2"])
        if self._count:
            self._paint_badge(painter)

    def _paint_badge(self, painter: QPainter) -> None:
        text = str(min(self._count, 999))
        width = max(21.0, fonts.metrics(fonts.MICRO_STRONG).horizontalAdvance(text) + 12)
        pill = QRectF((self.width() - width) / 2, 2, width, 21)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.ui.theme["badge"])
        painter.drawRoundedRect(pill, 10.5, 10.5)
        painter.setPen(self.ui.theme["on_badge"])
        painter.setFont(fonts.tabular(fonts.MICRO_STRONG))
        painter.drawText(pill, Qt.AlignmentFlag.AlignCenter, text)
