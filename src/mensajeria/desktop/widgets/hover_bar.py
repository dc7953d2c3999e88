"""The small bar beside the message under the pointer: react, reply, more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import QRectF, Qt, pyqtSignal
from PyQt6.QtGui import QPainter, QPaintEvent
from PyQt6.QtWidgets import QHBoxLayout, QWidget

from mensajeria.desktop.theme import shadow
from mensajeria.desktop.widgets.buttons import IconButton

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext

MARGIN: Final = 12
"""Room for the shadow, px."""
HEIGHT: Final = 36


class HoverBar(QWidget):
    """For the pointer only: the keyboard has its own keys for all three (R, +, Shift+F10), so nothing takes focus."""

    react = pyqtSignal()
    reply = pyqtSignal()
    more = pyqtSignal()

    def __init__(self, ui: UiContext, parent: QWidget) -> None:
        super().__init__(parent)
        self._ui = ui
        row = QHBoxLayout(self)
        row.setContentsMargins(MARGIN + 4, MARGIN, MARGIN + 4, MARGIN)
        row.setSpacing(0)
        for key, icon, signal in (
            ("message.react", "smiley", self.react),
            ("message.reply", "arrow-bend-up-left", self.reply),
            ("message.more", "dots-three", self.more),
        ):
            button = IconButton(ui, key, icon, side=HEIGHT, glyph=20)
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            button.clicked.connect(signal)
            row.addWidget(button)
        self.setFixedSize(3 * HEIGHT + 8 + 2 * MARGIN, HEIGHT + 2 * MARGIN)
        ui.theme_changed.connect(self.update)
        self.hide()

    def place(self, bubble: QRectF, *, outgoing: bool) -> None:
        """Stand beside a bubble (in the parent's coordinates), inside the parent."""
        left = bubble.left() - self.width() + MARGIN - 8 if outgoing else bubble.right() + 8 - MARGIN
        parent = self.parentWidget()
        room = (parent.width() if parent is not None else self.width()) - self.width() + MARGIN
        top = max(bubble.top() + 4, 4.0) if bubble.bottom() > HEIGHT else bubble.bottom() - HEIGHT
        self.move(round(min(max(left, -MARGIN), room)), round(top) - MARGIN)
        self.show()
        self.raise_()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """A floating pill."""
        painter, theme = QPainter(self), self._ui.theme
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(self.rect()).adjusted(MARGIN, MARGIN, -MARGIN, -MARGIN)
        shadow.draw(painter, box, HEIGHT / 2, shadow.FLOATING, theme["shadow"])
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme["surface_raised"])
        painter.drawRoundedRect(box, HEIGHT / 2, HEIGHT / 2)
