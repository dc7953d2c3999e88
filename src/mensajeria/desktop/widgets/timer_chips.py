"""How long messages stay, to choose from: chips that wrap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QSize, pyqtSignal
from PyQt6.QtWidgets import QButtonGroup, QGridLayout, QWidget

from mensajeria.desktop.viewmodels.message_actions import TIMERS
from mensajeria.desktop.widgets.buttons import Chip

if TYPE_CHECKING:
    from PyQt6.QtGui import QResizeEvent

    from mensajeria.desktop.theme.context import UiContext

_GAP = 8
_WIDE = 420


class TimerChip(Chip):
    """A length of time, in the language in force."""

    def __init__(self, ui: UiContext, seconds: int) -> None:
        self.seconds = seconds
        super().__init__(ui, "disappearing.off")

    def translate(self) -> None:
        """Zero is a word."""
        super().translate()
        if self.seconds:
            self.setText(self.ui.translator.span(self.seconds))
            self.setAccessibleName(self.text())
            self.updateGeometry()


class TimerChips(QWidget):
    """One of them is in force. Nothing is chosen before it was shown which."""

    chosen = pyqtSignal(int)

    def __init__(self, ui: UiContext) -> None:
        super().__init__()
        self._ui = ui
        self.chips: dict[int, TimerChip] = {}
        self._group = QButtonGroup(self)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(_GAP)
        self._columns = 0
        for seconds in TIMERS:
            self._add(seconds)
        self.setEnabled(False)
        self._place()

    def show_length(self, seconds: int) -> None:
        """This one is in force; a length that is not offered is shown beside the others."""
        if seconds not in self.chips:
            self._add(seconds)
            self._place()
        self.chips[seconds].setChecked(True)
        self.setEnabled(True)

    def minimumSizeHint(self) -> QSize:
        """Two beside each other."""
        widest = max(chip.sizeHint().width() for chip in self.chips.values())
        return QSize(2 * widest + _GAP, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Four in a row, or two where there is little room."""
        super().resizeEvent(event)
        self._place()

    def _add(self, seconds: int) -> None:
        chip = TimerChip(self._ui, seconds)
        chip.clicked.connect(lambda: self.chosen.emit(seconds))
        self._group.addButton(chip)
        self.chips[seconds] = chip
        self._columns = 0

    def _place(self) -> None:
        columns = 4 if self.width() >= _WIDE else 2
        if columns == self._columns:
            return
        for place, chip in enumerate(self.chips.values()):
            self._grid.addWidget(chip, place // columns, place % columns)
        for column in range(4):
            self._grid.setColumnStretch(column, 0)
        self._grid.setColumnStretch(columns, 1)
        self._columns = columns
