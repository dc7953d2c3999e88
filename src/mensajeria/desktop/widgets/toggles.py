"""Check box, radio button, switch and slider, painted over Qt's own controls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QPoint, QPointF, QRectF, QSize, Qt
from PyQt6.QtGui import QPainter, QPaintEvent, QPen
from PyQt6.QtWidgets import QCheckBox, QRadioButton, QSizePolicy, QSlider

from mensajeria.desktop.theme import fonts, icons

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext

_LEFT = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft


class CheckBox(QCheckBox):
    """A box of 18 px with its sentence."""

    ring_radius = 5.0

    def __init__(self, ui: UiContext, key: str) -> None:
        super().__init__()
        self._ui, self._key = ui, key
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumHeight(24)
        ui.theme_changed.connect(self.update)
        ui.language_changed.connect(self._translate)
        self._translate()

    def hitButton(self, pos: QPoint) -> bool:
        """The sentence belongs to the box."""
        return self.rect().contains(pos)

    def sizeHint(self) -> QSize:
        """Box, gap, sentence."""
        return QSize(30 + round(fonts.metrics(fonts.PREVIEW).horizontalAdvance(self.text())), 24)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """Box with its tick, sentence."""
        painter, theme = QPainter(self), self._ui.theme
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(0.5, (self.height() - 18) / 2, 18, 18)
        painter.setPen(Qt.PenStyle.NoPen if self.isChecked() else QPen(theme["border_strong"], 1.5))
        painter.setBrush(theme["accent"] if self.isChecked() else theme["surface_raised"])
        painter.drawRoundedRect(box if self.isChecked() else box.adjusted(0.5, 0.5, -0.5, -0.5), 5, 5)
        if self.isChecked():
            icons.draw(painter, "check-bold", box.adjusted(3, 3, -3, -3), theme["on_accent"])
        painter.setPen(theme["text"])
        painter.setFont(fonts.font(fonts.PREVIEW))
        room = self.width() - 28
        words = fonts.metrics(fonts.PREVIEW).elidedText(self.text(), Qt.TextElideMode.ElideRight, room)
        painter.drawText(QRectF(28, 0, room, self.height()), _LEFT, words)

    def _translate(self) -> None:
        self.setText(self._ui.say(self._key))
        self.setAccessibleName(self.text())
        self.updateGeometry()


class Radio(QRadioButton):
    """A round choice of 18 px with its word."""

    ring_radius = 9.0

    def __init__(self, ui: UiContext, key: str) -> None:
        super().__init__()
        self._ui, self._key = ui, key
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumHeight(28)
        ui.theme_changed.connect(self.update)
        ui.language_changed.connect(self._translate)
        self._translate()

    def hitButton(self, pos: QPoint) -> bool:
        """The word belongs to the circle."""
        return self.rect().contains(pos)

    def sizeHint(self) -> QSize:
        """Circle, gap, word."""
        return QSize(38 + round(fonts.metrics(fonts.BODY_STRONG).horizontalAdvance(self.text())), 28)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """Circle with its dot, word."""
        painter, theme = QPainter(self), self._ui.theme
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        middle = QPointF(9.5, self.height() / 2)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(theme["accent" if self.isChecked() else "border_strong"], 1.7))
        painter.drawEllipse(middle, 8, 8)
        if self.isChecked():
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme["accent"])
            painter.drawEllipse(middle, 4, 4)
        painter.setPen(theme["text"])
        painter.setFont(fonts.font(fonts.BODY_STRONG if self.isChecked() else fonts.BODY))
        painter.drawText(QRectF(27, 0, self.width() - 27, self.height()), _LEFT, self.text())

    def _translate(self) -> None:
        self.setText(self._ui.say(self._key))
        self.setAccessibleName(self.text())
        self.updateGeometry()


class Switch(QCheckBox):
    """A switch of 44 x 26 px; what it switches stands beside it and is its name."""

    ring_radius = 13.0

    def __init__(self, ui: UiContext, key: str) -> None:
        super().__init__()
        self._ui, self._key = ui, key
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setFixedSize(44, 26)
        ui.theme_changed.connect(self.update)
        ui.language_changed.connect(self._translate)
        self._translate()

    def hitButton(self, pos: QPoint) -> bool:
        """The whole switch can be pressed."""
        return self.rect().contains(pos)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """Groove and knob."""
        painter, theme = QPainter(self), self._ui.theme
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme["accent" if self.isChecked() else "border_strong"])
        painter.drawRoundedRect(QRectF(self.rect()), 13, 13)
        painter.setBrush(theme["on_accent" if self.isChecked() else "surface_raised"])
        painter.drawEllipse(QPointF(31 if self.isChecked() else 13, 13), 8.5, 8.5)

    def _translate(self) -> None:
        self.setAccessibleName(self._ui.say(self._key))


class Slider(QSlider):
    """A horizontal slider: groove of 4 px, knob of 18 px."""

    ring_radius = 9.0

    def __init__(self, ui: UiContext, key: str, maximum: int) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self._ui, self._key = ui, key
        self.setRange(0, maximum)
        self.setPageStep(1)
        self.setFixedHeight(28)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        ui.theme_changed.connect(self.update)
        ui.language_changed.connect(self._translate)
        self._translate()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """Groove, filled part, knob."""
        painter, theme = QPainter(self), self._ui.theme
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        middle, span = self.height() / 2, self.width() - 18
        at = 9 + span * (self.value() - self.minimum()) / max(1, self.maximum() - self.minimum())
        painter.setBrush(theme["pressed"])
        painter.drawRoundedRect(QRectF(0, middle - 2, self.width(), 4), 2, 2)
        painter.setBrush(theme["accent"])
        painter.drawRoundedRect(QRectF(0, middle - 2, at, 4), 2, 2)
        painter.drawEllipse(QPointF(at, middle), 9, 9)

    def _translate(self) -> None:
        self.setAccessibleName(self._ui.say(self._key))
