"""Small painted signs that are no controls: an icon, and a pill with a word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QRectF, QSize, Qt
from PyQt6.QtGui import QPainter, QPaintEvent
from PyQt6.QtWidgets import QSizePolicy, QWidget

from mensajeria.desktop.theme import fonts, icons

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext


class Sign(QWidget):
    """A small icon: shield or lock."""

    def __init__(self, ui: UiContext, icon: str, side: int, ink: str) -> None:
        super().__init__()
        self._ui, self._icon, self._ink, self._side = ui, icon, ink, side
        self.setFixedSize(side, side)
        ui.theme_changed.connect(self.update)

    def sizeHint(self) -> QSize:
        """A square."""
        return QSize(self._side, self._side)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """The icon."""
        icons.draw(QPainter(self), self._icon, QRectF(self.rect()), self._ui.theme[self._ink])


class Pill(QWidget):
    """A word on a soft ground, 24 px high, with an optional icon: a role, or how far a person is trusted."""

    def __init__(self, ui: UiContext, key: str, *, ink: str = "accent_text", ground: str = "accent_soft") -> None:
        super().__init__()
        self._ui, self._key, self._ink, self._ground, self._icon = ui, key, ink, ground, ""
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        ui.theme_changed.connect(self.update)
        ui.language_changed.connect(self._translate)
        self._translate()

    def say(self, key: str, *, ink: str, ground: str, icon: str = "") -> None:
        """Another word in other colours."""
        self._key, self._ink, self._ground, self._icon = key, ink, ground, icon
        self._translate()

    @property
    def text(self) -> str:
        """The word."""
        return self._ui.say(self._key)

    def sizeHint(self) -> QSize:
        """Icon, word, 12 px on either side."""
        width = round(fonts.metrics(fonts.CAPTION_STRONG).horizontalAdvance(self.text)) + 24
        return QSize(width + (20 if self._icon else 0), 26)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """Ground, icon, word."""
        painter, theme = QPainter(self), self._ui.theme
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme[self._ground])
        painter.drawRoundedRect(QRectF(self.rect()), 13, 13)
        left = 12.0
        if self._icon:
            icons.draw(painter, self._icon, QRectF(left - 2, 5, 16, 16), theme[self._ink])
            left += 19
        painter.setPen(theme[self._ink])
        painter.setFont(fonts.font(fonts.CAPTION_STRONG))
        painter.drawText(QRectF(left, 0, self.width(), self.height()), Qt.AlignmentFlag.AlignVCenter, self.text)

    def _translate(self) -> None:
        self.setAccessibleName(self.text)
        self.updateGeometry()
        self.update()
