"""Reactions under a bubble: one pill for each emoji, the own ones outlined."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Final, NamedTuple

from PyQt6.QtCore import QPointF, QRectF, Qt
from PyQt6.QtGui import QPainter, QPen

from mensajeria.desktop.theme import fonts
from mensajeria.desktop.widgets import markup

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.parts import ReactionRow

HEIGHT: Final = 25.0
OVERLAP: Final = 5.0
MAX_KINDS: Final = 6
_GAP, _EMOJI, _PAD = 3.0, 14, 8.0
_SHOWN_CHARACTERS = 16
"""An emoji is at most this long (family with skin tones); the protocol has checked that it is one."""


class Pill(NamedTuple):
    """One pill. ``emoji`` is empty for the one that counts the rest."""

    box: QRectF
    emoji: str
    words: str
    mine: bool


class ReactionPills:
    """Measured at once, placed under the bubble."""

    def __init__(self, reactions: tuple[ReactionRow, ...]) -> None:
        shown = reactions[:MAX_KINDS]
        self._parts = [(each.emoji, str(min(each.count, 999)) if each.count > 1 else "", each.mine) for each in shown]
        if rest := len(reactions) - len(shown):
            self._parts.append(("", f"+{rest}", any(each.mine for each in reactions[MAX_KINDS:])))
        self.wanted = sum(_width(emoji, words) + _GAP for emoji, words, _ in self._parts) - _GAP
        self.pills: list[Pill] = []

    def place(self, left: float, top: float) -> float:
        """Put the pills from ``left`` on; the lower edge."""
        self.pills = []
        for emoji, words, mine in self._parts:
            width = _width(emoji, words)
            self.pills.append(Pill(QRectF(left, top, width, HEIGHT), emoji, words, mine))
            left += width + _GAP
        return top + HEIGHT

    def at(self, point: QPointF) -> str:
        """The emoji whose pill is under ``point``, or empty."""
        return next((pill.emoji for pill in self.pills if pill.box.contains(point)), "")

    def paint(self, painter: QPainter, ui: UiContext) -> None:
        """Each pill with a ring in the ground's colour, so that it stands off the bubble."""
        theme = ui.theme
        for box, emoji, words, mine in self.pills:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme["bg_chat"])
            painter.drawRoundedRect(box.adjusted(-2, -2, 2, 2), HEIGHT / 2 + 2, HEIGHT / 2 + 2)
            painter.setPen(QPen(theme["accent"], 1.2) if mine else Qt.PenStyle.NoPen)
            painter.setBrush(theme["accent_soft" if mine else "surface_raised"])
            painter.drawRoundedRect(box.adjusted(0.6, 0.6, -0.6, -0.6), HEIGHT / 2, HEIGHT / 2)
            painter.setPen(theme["accent_text" if mine else "text2"])
            if emoji:
                painter.setFont(fonts.emoji(_EMOJI))
                painter.drawText(box.adjusted(_PAD, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, _clean(emoji))
            if words:
                painter.setFont(fonts.tabular(fonts.MICRO_STRONG))
                right = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight
                painter.drawText(box.adjusted(0, 0, -_PAD, 0), right, words)


def _clean(emoji: str) -> str:
    return markup.clean(emoji[:_SHOWN_CHARACTERS])


def _width(emoji: str, words: str) -> float:
    face = ceil(fonts.emoji_width(_clean(emoji), _EMOJI)) if emoji else 0
    number = ceil(fonts.tabular_metrics(fonts.MICRO_STRONG).horizontalAdvance(words)) if words else 0
    return face + number + (5 if face and number else 0) + 2 * _PAD
