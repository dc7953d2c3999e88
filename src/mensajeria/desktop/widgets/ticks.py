"""The signs of a message's state. Shape first, colour second.

Clock, one tick, two ticks, two heavier ticks, a disc with "!".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QPointF, QRectF, Qt
from PyQt6.QtGui import QPainter, QPainterPath, QPen

from mensajeria.desktop.theme import icons
from mensajeria.desktop.viewmodels.types import MessageState

if TYPE_CHECKING:
    from PyQt6.QtGui import QColor

    from mensajeria.desktop.theme.theme import Theme

WIDTH, HEIGHT = 16.0, 12.0


def draw(painter: QPainter, theme: Theme, at: QPointF, state: MessageState, ink: QColor) -> None:
    """Paint the sign of ``state`` into the 16 x 12 px box at ``at``; ``ink`` is the colour of the text beside it."""
    if state is MessageState.NONE:
        return
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    if state is MessageState.SENDING:
        icons.draw(painter, "clock-bold", QRectF(at.x() + 2, at.y() - 0.5, 13, 13), ink)
    elif state is MessageState.FAILED:
        icons.draw(painter, "warning-circle-fill", QRectF(at.x() + 1, at.y() - 1.5, 15, 15), theme["danger"])
    else:
        _draw_ticks(painter, theme, at, state, ink)
    painter.restore()


def _draw_ticks(painter: QPainter, theme: Theme, at: QPointF, state: MessageState, ink: QColor) -> None:
    read = state is MessageState.READ
    pen = QPen(theme["read"] if read else ink, 1.9 if read else 1.45)
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    painter.setPen(pen)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    if state is MessageState.SENT:
        painter.drawPath(_tick(at + QPointF(3.0, 0)))
        return
    painter.drawPath(_tick(at))
    second = at + QPointF(5.0, 0)
    tail = QPainterPath(second + QPointF(2.6, 8.2))
    tail.lineTo(second + QPointF(3.9, 9.6))
    tail.lineTo(second + QPointF(10.4, 2.4))
    painter.drawPath(tail)


def _tick(at: QPointF) -> QPainterPath:
    path = QPainterPath(at + QPointF(0.9, 6.4))
    path.lineTo(at + QPointF(3.9, 9.6))
    path.lineTo(at + QPointF(10.4, 2.4))
    return path
