"""The sign of the program and the panel beside the sign-in forms, drawn in code."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING

from PyQt6.QtCore import QPointF, QRectF, QSize, Qt
from PyQt6.QtGui import QColor, QIcon, QLinearGradient, QPainter, QPainterPath, QPaintEvent, QPixmap, QTransform
from PyQt6.QtWidgets import QWidget

from mensajeria.desktop.theme import fonts, icons, wallpaper

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.theme.theme import Theme

POINTS = (
    ("lock-key-fill", "brand.e2ee_title", "brand.e2ee_text"),
    ("hard-drives-fill", "brand.server_title", "brand.server_text"),
    ("laptop-fill", "brand.devices_title", "brand.devices_text"),
)


def mark(box: QRectF) -> QPainterPath:
    """A rounded speech bubble with a keyhole cut out, inside ``box``."""
    unit = box.width() / 40
    path = QPainterPath()
    path.setFillRule(Qt.FillRule.OddEvenFill)
    body = QPainterPath()
    body.addRoundedRect(QRectF(1, 0, 38, 30), 13, 13)
    tail = QPainterPath(QPointF(7.5, 26))
    tail.lineTo(6, 38)
    tail.lineTo(19, 29)
    tail.closeSubpath()
    path.addPath(body.united(tail))
    hole = QPainterPath()
    hole.addEllipse(QPointF(20, 12), 4.7, 4.7)
    stem = QPainterPath(QPointF(18.3, 13))
    stem.lineTo(21.7, 13)
    stem.lineTo(23.3, 22)
    stem.lineTo(16.7, 22)
    stem.closeSubpath()
    path.addPath(hole.united(stem))
    return QTransform.fromTranslate(box.x(), box.y()).scale(unit, unit).map(path)


@cache
def window_icon(theme: Theme) -> QIcon:
    """The program's icon for the task bar."""
    made = QIcon()
    for side in (32, 64, 128, 256):
        pixmap = QPixmap(side, side)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        gradient = QLinearGradient(0, 0, 0, side)
        gradient.setColorAt(0, theme["brand_top"])
        gradient.setColorAt(1, theme["brand_bottom"])
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(gradient)
        painter.drawRoundedRect(QRectF(0, 0, side, side), side * 0.22, side * 0.22)
        painter.fillPath(mark(QRectF(side * 0.2, side * 0.22, side * 0.6, side * 0.6)), theme["on_brand"])
        painter.end()
        made.addPixmap(pixmap)
    return made


@lru_cache(maxsize=2)
def _ground(theme: Theme, width: int, height: int, ratio: float) -> QPixmap:
    """Gradient and tiles of the panel, kept: they are most of its painting."""
    made = QPixmap(QSize(width, height) * ratio)
    made.setDevicePixelRatio(ratio)
    painter = QPainter(made)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    gradient = QLinearGradient(0, 0, width * 0.35, height)
    gradient.setColorAt(0, theme["brand_top"])
    gradient.setColorAt(1, theme["brand_bottom"])
    painter.fillRect(0, 0, width, height, gradient)
    _paint_tiles(painter, theme, height)
    painter.end()
    return made


def _paint_tiles(painter: QPainter, theme: Theme, height: int) -> None:
    """Tiles of 96 px that fade in towards the right, and out towards the bottom."""
    scale = 96 / wallpaper.TILE
    for column in range(3):
        for row in range(-1, height // 96 + 1):
            if column == 0 and row != 1:
                continue
            stroke = QColor(theme["brand_pattern"])
            depth = max(0.0, row / (height / 96))
            stroke.setAlphaF((0.05, 0.15, 0.24)[column] * (1 - 0.6 * depth))
            painter.save()
            painter.translate(88 + column * 96, row * 96 + 78)
            painter.scale(scale, scale)
            wallpaper.draw_petals(painter, stroke)
            wallpaper.draw_ring(painter, stroke, QPointF(wallpaper.TILE, wallpaper.TILE))
            painter.restore()


class BrandPanel(QWidget):
    """400 px of teal with tiles: who we are, a slogan, three promises."""

    def __init__(self, ui: UiContext, slogan: str) -> None:
        super().__init__()
        self._ui, self._slogan = ui, slogan
        self.setFixedWidth(400)
        ui.theme_changed.connect(self.update)
        ui.language_changed.connect(self._rename)
        self._rename()

    def set_slogan(self, key: str) -> None:
        """Another slogan (a key of the catalogue; lines are separated by ``|``)."""
        self._slogan = key
        self._rename()

    def sizeHint(self) -> QSize:
        """As wide as it is."""
        return QSize(400, 640)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """Gradient, tiles, sign, slogan, promises."""
        painter, theme = QPainter(self), self._ui.theme
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.drawPixmap(0, 0, _ground(theme, self.width(), self.height(), self.devicePixelRatioF()))
        painter.fillPath(mark(QRectF(42, 48, 40, 40)), theme["on_brand"])
        painter.setPen(theme["on_brand"])
        painter.setFont(fonts.font(fonts.HEADING))
        painter.drawText(QPointF(96, 72), "MensajeriaApp")
        self._paint_words(painter)

    def _paint_words(self, painter: QPainter) -> None:
        theme, say = self._ui.theme, self._ui.say
        lines = say(self._slogan).split("|")
        points_top = 375 + (self.height() - 640) * 0.08
        painter.setPen(theme["on_brand"])
        painter.setFont(fonts.font(fonts.BRAND))
        for place, line in enumerate(lines):
            painter.drawText(QPointF(41, points_top - 43 - (len(lines) - 1 - place) * fonts.BRAND.line), line)
        for place, (icon, title, text) in enumerate(POINTS):
            top = points_top + place * 58
            icons.draw(painter, icon, QRectF(41, top + 3, 20, 20), theme["brand_icon"])
            painter.setPen(theme["on_brand"])
            painter.setFont(fonts.font(fonts.BODY_STRONG))
            painter.drawText(QPointF(76, top + 14), say(title))
            painter.setPen(theme["on_brand_soft"])
            painter.setFont(fonts.font(fonts.PREVIEW))
            painter.drawText(QPointF(76, top + 34), say(text))
        painter.setPen(theme["on_brand_soft"])
        painter.setFont(fonts.font(fonts.CAPTION))
        painter.drawText(QPointF(40, self.height() - 32), say("brand.footer"))

    def _rename(self) -> None:
        self.setAccessibleName(self._ui.say(self._slogan).replace("|", " "))
        self.update()
