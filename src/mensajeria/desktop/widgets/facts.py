"""A card of short sentences, each with its icon: what something means, before it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QRectF, Qt
from PyQt6.QtGui import QPainter, QPaintEvent
from PyQt6.QtWidgets import QGridLayout, QWidget

from mensajeria.desktop.theme import fonts
from mensajeria.desktop.widgets.labels import Label
from mensajeria.desktop.widgets.signs import Sign

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mensajeria.desktop.theme.context import UiContext


class Facts(QWidget):
    """Rows of (icon, key of the catalogue) on a sunken ground, or on a warning's (`ink`: ``warning``)."""

    def __init__(self, ui: UiContext, rows: Sequence[tuple[str, str]], *, ink: str = "text2") -> None:
        super().__init__()
        self._ui, self._warns = ui, ink == "warning"
        self.labels = tuple(
            Label(ui, key, fonts.CAPTION, "text" if self._warns else "text2", wrap=True) for _, key in rows
        )
        grid = QGridLayout(self)
        grid.setContentsMargins(14, 12, 14, 12)
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(8)
        grid.setColumnStretch(1, 1)
        for line, ((icon, _), label) in enumerate(zip(rows, self.labels, strict=True)):
            grid.addWidget(Sign(ui, icon, 18, ink), line, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(label, line, 1)
        ui.theme_changed.connect(self.update)
        ui.language_changed.connect(self._name)
        self._name()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """The ground."""
        painter, theme = QPainter(self), self._ui.theme
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme["warning_soft" if self._warns else "surface_sunken"])
        painter.drawRoundedRect(QRectF(self.rect()), 12, 12)

    def _name(self) -> None:
        self.setAccessibleName(" ".join(label.text() for label in self.labels))
