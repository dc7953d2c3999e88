"""The tile pattern behind the timeline and on the brand panel: lens petals, rings and small diamonds, drawn in code."""

from __future__ import annotations

from functools import lru_cache
from math import cos, pi, sin, sqrt

from PyQt6.QtCore import QPointF, QRectF, Qt
from PyQt6.QtGui import QColor, QPainter, QPainterPath, QPen, QPixmap

TILE = 72
_PETAL_FROM, _PETAL_TO, _PETAL_SWELL = 3.1, 29.0, 13.0
_RING, _DOT, _DIAMOND = 9.4, 3.2, 5.2


def draw_tile(painter: QPainter, colour: QColor) -> None:
    """Paint one tile of 72 x 72 px at the origin; it joins itself on every side."""
    draw_petals(painter, colour)
    half = TILE / 2
    corners = [QPointF(x, y) for x in (0, TILE) for y in (0, TILE)]
    for corner in corners:
        painter.drawEllipse(corner, _RING, _RING)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    for corner in corners:
        painter.drawEllipse(corner, _DOT, _DOT)
    for edge in (QPointF(half, 0), QPointF(half, TILE), QPointF(0, half), QPointF(TILE, half)):
        painter.drawPath(_diamond(edge))


def draw_petals(painter: QPainter, colour: QColor) -> None:
    """Paint only the four petals of the tile at the origin."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(colour, 1.3))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for quarter in range(4):
        painter.drawPath(_petal(TILE / 2, pi / 4 + quarter * pi / 2))


def draw_ring(painter: QPainter, colour: QColor, middle: QPointF) -> None:
    """Paint one ring with a smaller one inside."""
    painter.setPen(QPen(colour, 1.3))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawEllipse(middle, _RING, _RING)
    painter.drawEllipse(middle, _DOT + 0.6, _DOT + 0.6)


def _petal(half: float, angle: float) -> QPainterPath:
    """A lens from near the middle of the tile towards a corner."""
    along, across = QPointF(cos(angle), sin(angle)), QPointF(-sin(angle), cos(angle))
    start = QPointF(half, half) + along * _PETAL_FROM
    end = QPointF(half, half) + along * _PETAL_TO
    middle = (start + end) / 2
    path = QPainterPath(start)
    path.quadTo(middle + across * _PETAL_SWELL, end)
    path.quadTo(middle - across * _PETAL_SWELL, start)
    return path


def _diamond(middle: QPointF) -> QPainterPath:
    reach = _DIAMOND / sqrt(2)
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
