"""The signs of a message's state. Shape first, colour second.

Clock, one tick, two ticks, two heavier ticks, a disc with "!".
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil
from typing import TYPE_CHECKING

from PyQt6.QtCore import QPointF, QRectF, Qt
from PyQt6.QtGui import QColor, QPainter, QPainterPath, QPen, QPixmap

from mensajeria.desktop.theme import icons
from mensajeria.desktop.viewmodels.types import MessageState

if TYPE_CHECKING:
    from mensajeria.desktop.theme.theme import Theme

WIDTH, HEIGHT = 16.0, 12.0
_MARGIN = 2.0
"""Room for line ends around the box, px."""


def draw(
    painter: QPainter, theme: Theme, at: QPointF, state: MessageState, ink: QColor, *, plain: bool = False
) -> None:
    """Paint the sign of ``state`` into the 16 x 12 px box at ``at``; ``ink`` is the colour of the text beside it.

    ``plain``: always in that colour, because the ground is not a bubble's; the shape alone tells the state.
    """
    if state is MessageState.NONE:
        return
    if plain:
        pass
    elif state is MessageState.FAILED:
        ink = theme["danger"]
    elif state is MessageState.READ:
        ink = theme["read"]
    device = painter.device()
    ratio = device.devicePixelRatioF() if device is not None else 1.0
    painter.drawPixmap(at - QPointF(_MARGIN, _MARGIN), _sign(state, ink.rgba(), ratio))


@lru_cache(maxsize=64)
def _sign(state: MessageState, rgba: int, ratio: float) -> QPixmap:
    """A sign drawn once for each colour and scale."""
    made = QPixmap(ceil((WIDTH + 2 * _MARGIN) * ratio), ceil((HEIGHT + 2 * _MARGIN) * ratio))
    made.setDevicePixelRatio(ratio)
    made.fill(Qt.GlobalColor.transparent)
    painter = QPainter(made)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.translate(_MARGIN, _MARGIN)
    ink = QColor.fromRgba(rgba)
    if state is MessageState.SENDING:
        icons.draw(painter, "clock-bold", QRectF(2, -0.5, 13, 13), ink)
    elif state is MessageState.FAILED:
        icons.draw(painter, "warning-circle-fill", QRectF(1, -1.5, 15, 15), ink)
    else:
        _draw_ticks(painter, state, ink)
    painter.end()
    return made


def _draw_ticks(painter: QPainter, state: MessageState, ink: QColor) -> None:
    pen = QPen(ink, 1.9 if state is MessageState.READ else 1.45)
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    painter.setPen(pen)
    if state is MessageState.SENT:
        painter.drawPath(_stroke(QPointF(3.0, 0), whole=True))
        return
    painter.drawPath(_stroke(QPointF(), whole=True))
    painter.drawPath(_stroke(QPointF(5.0, 0), whole=False))


def _stroke(at: QPointF, *, whole: bool) -> QPainterPath:
    """A tick, or the part of one that shows behind another."""
    path = QPainterPath(at + (QPointF(0.9, 6.4) if whole else QPointF(2.6, 8.2)))
    path.lineTo(at + QPointF(3.9, 9.6))
    path.lineTo(at + QPointF(10.4, 2.4))
    return path
