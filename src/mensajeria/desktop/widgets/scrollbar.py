"""A thin scroll bar that lies over the content.

A second bar in step with the hidden native one, hidden when nothing moves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QEvent, QObject, Qt, QTimer
from PyQt6.QtWidgets import QAbstractScrollArea, QScrollBar

from mensajeria.desktop.qt import present

if TYPE_CHECKING:
    from PyQt6.QtGui import QEnterEvent

VISIBLE_MS = 900
_WIDTH = 8


class OverlayScrollBar(QScrollBar):
    """Lies at the right edge of ``area``; the native bar is switched off, for it would take a column of its own."""

    def __init__(self, area: QAbstractScrollArea) -> None:
        super().__init__(Qt.Orientation.Vertical, area)
        self._area = area
        area.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._native = present(area.verticalScrollBar())
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(VISIBLE_MS)
        self._timer.timeout.connect(self._rest)
        self._native.rangeChanged.connect(self._range)
        self._native.valueChanged.connect(self._moved)
        self.valueChanged.connect(self._native.setValue)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.installEventFilter(self)
        self.hide()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Stay at the edge."""
        if watched is self._area and event is not None and event.type() == QEvent.Type.Resize:
            self.setGeometry(self._area.width() - _WIDTH - 1, 2, _WIDTH, self._area.height() - 4)
        return False

    def enterEvent(self, event: QEnterEvent | None) -> None:
        """Stay while the pointer is on it."""
        super().enterEvent(event)
        self._timer.stop()

    def leaveEvent(self, event: QEvent | None) -> None:
        """Go again."""
        super().leaveEvent(event)
        self._timer.start()

    def _range(self, low: int, high: int) -> None:
        self.setRange(low, high)
        self.setPageStep(self._native.pageStep())
        self.setSingleStep(self._native.singleStep())

    def _moved(self, value: int) -> None:
        self.setValue(value)
        if self.maximum() > self.minimum():
            self.show()
            self.raise_()
            self._timer.start()

    def _rest(self) -> None:
        if not self.isSliderDown():
            self.hide()
