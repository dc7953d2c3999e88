"""Icons as vector paths out of the bundled icon font: crisp at every scale, in any colour."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources

from PyQt6.QtCore import QByteArray, QRectF, Qt
from PyQt6.QtGui import QColor, QIcon, QPainter, QPainterPath, QPixmap, QRawFont, QTransform

_EM = 64.0


@cache
def _raw_font() -> QRawFont:
    data = resources.files("mensajeria.desktop").joinpath("assets", "fonts", "Phosphor-subset.ttf").read_bytes()
    return QRawFont(QByteArray(data), _EM)


@cache
def _codepoints() -> dict[str, int]:
    text = resources.files("mensajeria.desktop").joinpath("assets", "fonts", "phosphor-subset.json").read_text("ascii")
    return {str(name): int(code) for name, code in json.loads(text).items()}


@cache
def path(name: str) -> QPainterPath:
    """Outline of an icon in a square of 1 x 1. Raises ``KeyError`` for an icon that is not bundled."""
    raw = _raw_font()
    glyphs = raw.glyphIndexesForString(chr(_codepoints()[name]))
    outline = raw.pathForGlyph(glyphs[0])
    # The font's box reaches from its ascent to its descent.
    scale = 1 / (raw.ascent() + raw.descent())
    return QTransform.fromScale(scale, scale).map(outline.translated(0, raw.ascent()))


def draw(painter: QPainter, name: str, box: QRectF, colour: QColor) -> None:
    """Paint an icon into ``box``."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.translate(box.topLeft())
    painter.scale(box.width(), box.height())
    painter.fillPath(path(name), colour)
    painter.restore()


@cache
def _pixmap(name: str, size: int, rgba: int, ratio: float) -> QPixmap:
    pixels = round(size * ratio + 0.49)
    made = QPixmap(pixels, pixels)
    made.setDevicePixelRatio(ratio)
    made.fill(Qt.GlobalColor.transparent)
    painter = QPainter(made)
    draw(painter, name, QRectF(0, 0, size, size), QColor.fromRgba(rgba))
    painter.end()
    return made


def icon(name: str, size: int, colour: QColor, ratio: float) -> QIcon:
    """An icon for Qt's own controls, ``size`` px at device pixel ratio ``ratio``."""
    return QIcon(_pixmap(name, size, colour.rgba(), ratio))
