"""The tile pattern behind the timeline and on the brand panel: lens petals, rings and small diamonds, drawn in code."""

from __future__ import annotations

from functools import lru_cache
from math import cos, pi, sin

from PyQt6.QtCore import QPointF, QRectF, Qt
from PyQt6.QtGui import QColor, QPainter, QPainterPath, QPen, QPixmap

TILE = 72
_PETAL = 29.0
_RING, _DOT, _DIAMOND = 9.4, 3.2, 5.2


def draw_tile(painter: QPainter, colour: QColor) -> None:
    """Paint one tile of 72 x 72 px at the origin; it joins itself on every side."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(colour, 1.3))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    half = TILE / 2
    for quarter in range(4):
        painter.drawPath(_petal(half, pi / 4 + quarter * pi / 2))
    for corner in (QPointF(x, y) for x in (0, TILE) for y in (0, TILE)):
        painter.drawEllipse(corner, _RING, _RING)
        painter.drawEllipse(corner, _DOT, _DOT)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    for edge in (QPointF(half, 0), QPointF(half, TILE), QPointF(0, half), QPointF(TILE, half)):
        painter.drawPath(_diamond(edge))


def _petal(half: float, angle: float) -> QPainterPath:
    """A lens from near the middle of the tile towards a corner."""
    along, across = QPointF(cos(angle), sin(angle)), QPointF(-sin(angle), cos(angle))
    start = QPointF(half, half) + along * 4.0
    end = start + along * _PETAL
    middle = (start + end) / 2
    path = QPainterPath(start)
    path.quadTo(middle + across * 15.5, end)
    path.quadTo(middle - across * 15.5, start)
    return path


def _diamond(middle: QPointF) -> QPainterPath:
    reach = _DIAMOND / 2
    path = QPainterPath(middle + QPointF(0, -reach))
    for x, y in ((reach, 0), (0, reach), (-reach, 0)):
        path.lineTo(middle + QPointF(x, y))
    path.closeSubpath()
    return path


@lru_cache(maxsize=8)
def _tile(background: int, stroke: int, ratio: float) -> QPixmap:
    pixels = round(TILE * ratio)
    made = QPixmap(pixels, pixels)
    made.fill(QColor.fromRgba(background))
    painter = QPainter(made)
    painter.scale(pixels / TILE, pixels / TILE)
    draw_tile(painter, QColor.fromRgba(stroke))
    painter.end()
    made.setDevicePixelRatio(ratio)
    return made


def draw(painter: QPainter, box: QRectF, origin: QPointF, background: QColor, stroke: QColor) -> None:
    """Cover ``box``; ``origin`` is the place inside the pattern that lies at the box's corner (the scroll offset)."""
    device = painter.device()
    ratio = device.devicePixelRatioF() if device is not None else 1.0
    painter.drawTiledPixmap(box, _tile(background.rgba(), stroke.rgba(), ratio), origin)
