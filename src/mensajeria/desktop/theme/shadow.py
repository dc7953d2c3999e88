"""Soft shadows, rendered once per size and reused: blurring on every paint would cost a frame."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from PyQt6.QtCore import QPointF, QRectF, Qt
from PyQt6.QtGui import QColor, QImage, QPainter, QPixmap


class Elevation(NamedTuple):
    """Blur radius and vertical offset of a shadow, px."""

    blur: int
    offset: int


FLOATING = Elevation(10, 2)
MENU = Elevation(18, 5)
DIALOG = Elevation(28, 10)


def draw(painter: QPainter, box: QRectF, radius: float, elevation: Elevation, colour: QColor) -> None:
    """Paint the shadow of a rounded box under where the box will be painted."""
    device = painter.device()
    ratio = device.devicePixelRatioF() if device is not None else 1.0
    pixmap = _shadow(round(box.width()), round(box.height()), round(radius), elevation, colour.rgba(), ratio)
    margin = elevation.blur * 2
    painter.drawPixmap(QPointF(box.x() - margin, box.y() - margin + elevation.offset), pixmap)


@lru_cache(maxsize=48)
def _shadow(width: int, height: int, radius: int, elevation: Elevation, rgba: int, ratio: float) -> QPixmap:
    """The blur comes from scaling down and up again, three box filters deep: smooth, and cheap without a GPU."""
    margin = elevation.blur * 2
    size = (width + 2 * margin, height + 2 * margin)
    image = QImage(*size, QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor.fromRgba(rgba))
    painter.drawRoundedRect(QRectF(margin, margin, width, height), radius, radius)
    painter.end()
    step = max(2, elevation.blur // 3)
    keep, smooth = Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation
    for divisor in (step, max(2, step // 2), step):
        small = image.scaled(max(1, size[0] // divisor), max(1, size[1] // divisor), keep, smooth)
        image = small.scaled(*size, keep, smooth)
    pixels = image.scaled(round(size[0] * ratio + 0.49), round(size[1] * ratio + 0.49), keep, smooth)
    pixmap = QPixmap.fromImage(pixels)
    pixmap.setDevicePixelRatio(ratio)
    return pixmap
