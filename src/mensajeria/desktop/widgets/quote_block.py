"""The answered message inside a bubble (and above the composer): author and one line, 42 px high."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import QPointF, QRectF, Qt
from PyQt6.QtGui import QPainter, QPainterPath, QStaticText, QTransform

from mensajeria.desktop.theme import fonts
from mensajeria.desktop.widgets import markup
from mensajeria.desktop.widgets.text_block import elide

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.theme.fonts import Role
    from mensajeria.desktop.viewmodels.parts import QuoteRow

HEIGHT: Final = 42.0
_BAR, _PAD = 3.0, 10.0


def static(text: str, role: Role) -> QStaticText:
    """A line that is shaped once and painted often."""
    made = QStaticText(text)
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.prepare(QTransform(), fonts.font(role))
    return made


class QuoteBlock:
    """Measured at once, placed when the bubble's width is known."""

    def __init__(self, ui: UiContext, quote: QuoteRow, room: float) -> None:
        self.quote = quote
        inner = room - _BAR - 2 * _PAD
        name = elide(markup.one_line(ui.wording.quote_author(quote)), fonts.CAPTION_STRONG, inner)
        line = elide(markup.one_line(ui.wording.quote(quote)), fonts.PREVIEW, inner)
        widths = (fonts.metrics(fonts.CAPTION_STRONG).horizontalAdvance(name), _width(line))
        self.wanted = min(room, max(widths) + _BAR + 2 * _PAD + 1)
        self._name, self._line = static(name, fonts.CAPTION_STRONG), static(line, fonts.PREVIEW)
        self.box = QRectF()

    def place(self, left: float, top: float, width: float) -> None:
        """Where the block stands in its row."""
        self.box = QRectF(left, top, width, HEIGHT)

    def paint(self, painter: QPainter, ui: UiContext, side: str) -> None:
        """Ground, bar in the author's hue, two lines."""
        theme, box = ui.theme, self.box
        path = QPainterPath()
        path.addRoundedRect(box, 8, 8)
        painter.fillPath(path, theme[f"quote_{side}"])
        hue = theme["accent_text"] if self.quote.outgoing else theme[f"hue{self.quote.hue % 8}_name"]
        painter.save()
        painter.setClipRect(QRectF(box.left(), box.top(), _BAR, box.height()), Qt.ClipOperation.IntersectClip)
        painter.fillPath(path, hue)
        painter.restore()
        painter.setPen(hue)
        painter.setFont(fonts.font(fonts.CAPTION_STRONG))
        painter.drawStaticText(QPointF(box.left() + _BAR + _PAD, box.top() + 5), self._name)
        painter.setPen(theme[f"bubble_{side}_text2"])
        painter.setFont(fonts.font(fonts.PREVIEW))
        painter.drawStaticText(QPointF(box.left() + _BAR + _PAD, box.top() + 21), self._line)


def _width(line: str) -> float:
    return fonts.metrics(fonts.PREVIEW).horizontalAdvance(line)
