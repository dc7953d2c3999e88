"""Round pictures of people and groups: their own, or initials on a gradient in the person's own hue."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from PyQt6.QtCore import QRectF, Qt
from PyQt6.QtGui import QBrush, QFont, QLinearGradient, QPainter, QPaintEvent, QTransform
from PyQt6.QtWidgets import QWidget

from mensajeria.desktop.theme import fonts, icons

if TYPE_CHECKING:
    from PyQt6.QtGui import QColor

    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.theme.theme import Theme

HUES = 8


def initials(name: str) -> str:
    """First letters of the first two words that begin with a letter or digit; at most two characters."""
    words = [word for word in name.replace("_", " ").replace(".", " ").split() if word[0].isalnum()]
    return "".join(word[0] for word in words[:2]).upper()


@cache
def _font(side: int) -> QFont:
    made = QFont(fonts.font(fonts.BODY_STRONG))
    made.setPixelSize(max(9, round(side * 0.36)))
    return made


def draw(
    painter: QPainter, ui: UiContext, box: QRectF, name: str, hue: int, *, who: str = "", note: bool = False
) -> None:
    """Paint an avatar: the picture of ``who`` (a user's or group's id) if there is one.

    ``note`` shows the pencil of the chat with oneself instead of initials.
    """
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    if note or not _draw_face(painter, ui, box, who):
        _draw_initials(painter, ui.theme, box, name, hue, note=note)
    painter.restore()


def _draw_face(painter: QPainter, ui: UiContext, box: QRectF, who: str) -> bool:
    device = painter.device()
    ratio = device.devicePixelRatioF() if device is not None else 1.0
    face = ui.faces.get(who, box.width(), ratio)
    if face is None:
        return False
    brush = QBrush(face)
    brush.setTransform(QTransform.fromTranslate(box.x(), box.y()).scale(1 / ratio, 1 / ratio))
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(brush)
    painter.drawEllipse(box.adjusted(0.5, 0.5, -0.5, -0.5))
    return True


def _draw_initials(painter: QPainter, theme: Theme, box: QRectF, name: str, hue: int, *, note: bool) -> None:
    gradient = QLinearGradient(box.topLeft(), box.bottomLeft())
    gradient.setColorAt(0, theme[f"hue{hue % HUES}_top"])
    gradient.setColorAt(1, theme[f"hue{hue % HUES}_bottom"])
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(gradient)
    painter.drawEllipse(box.adjusted(0.5, 0.5, -0.5, -0.5))
    if note:
        inset = box.width() * 0.27
        icons.draw(painter, "note-pencil", box.adjusted(inset, inset, -inset, -inset), theme["on_hue"])
    else:
        painter.setPen(theme["on_hue"])
        painter.setFont(_font(round(box.width())))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, initials(name))


def draw_presence(painter: QPainter, theme: Theme, box: QRectF, around: QColor) -> None:
    """Paint the dot of a person who is online at the lower right of the avatar's ``box``, ringed in ``around``."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    side = 12.0 if box.width() > 42 else 10.0
    dot = QRectF(box.right() - side + 0.5, box.bottom() - side + 0.5, side, side)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(around)
    painter.drawEllipse(dot.adjusted(-2, -2, 2, 2))
    painter.setBrush(theme["online"])
    painter.drawEllipse(dot)
    painter.restore()


class Avatar(QWidget):
    """An avatar as a widget, ``side`` px. Decoration: the name stands beside it."""

    def __init__(self, ui: UiContext, side: int) -> None:
        super().__init__()
        self._ui, self._name, self._hue, self._online, self._note = ui, "", 0, False, False
        self._who = ""
        self.setFixedSize(side, side)
        ui.theme_changed.connect(self.update)
        ui.faces.ready.connect(self.update)

    def show_person(self, name: str, hue: int, *, who: str = "", online: bool = False, note: bool = False) -> None:
        """Show another person, or the group ``who``."""
        self._name, self._hue, self._who, self._online, self._note = name, hue, who, online, note
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """Disc, initials, presence."""
        painter, box = QPainter(self), QRectF(self.rect())
        if self._name:
            draw(painter, self._ui, box, self._name, self._hue, who=self._who, note=self._note)
        if self._online:
            draw_presence(painter, self._ui.theme, box.adjusted(0, 0, -1, -1), self._ui.theme["bg_window"])
