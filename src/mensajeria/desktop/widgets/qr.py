"""A QR code: always dark on white, whatever the theme, with its quiet zone of four modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import QRectF, Qt
from PyQt6.QtGui import QPainter, QPaintEvent
from PyQt6.QtWidgets import QWidget

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext

QUIET: Final = 4


class QrCode(QWidget):
    """`side` px square; modules are drawn at whole device pixels, so that scanners see sharp edges."""

    def __init__(self, ui: UiContext, side: int = 210) -> None:
        super().__init__()
        self._ui = ui
        self._rows: tuple[tuple[bool, ...], ...] = ()
        self.setFixedSize(side, side)

    def show_modules(self, rows: tuple[tuple[bool, ...], ...]) -> None:
        """Show a code; rows of modules, True = dark."""
        self._rows = rows
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """White card and modules."""
        painter, theme = QPainter(self), self._ui.theme
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(theme["border"])
        painter.setBrush(theme["qr_light"])
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 12, 12)
        if not self._rows:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, on=False)
        painter.setPen(Qt.PenStyle.NoPen)
        ratio = self.devicePixelRatioF()
        modules = len(self._rows) + 2 * QUIET
        step = max(1, int(self.width() * ratio / modules)) / ratio
        start = (self.width() - step * len(self._rows)) / 2
        start = round(start * ratio) / ratio
        for y, line in enumerate(self._rows):
            for x, dark in enumerate(line):
                if dark:
                    painter.fillRect(QRectF(start + x * step, start + y * step, step, step), theme["qr_dark"])
