"""One theme: colours by name, as Qt colours, and the palette for Qt's own controls."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from PyQt6.QtCore import Qt
from PyQt6.QtGui import QColor, QGuiApplication, QPalette

from mensajeria.desktop.theme.tokens import DARK, LIGHT
from mensajeria.desktop.viewmodels.types import ThemeChoice

if TYPE_CHECKING:
    from collections.abc import Mapping


class Theme:
    """Colours by token name: ``theme["text"]``."""

    def __init__(self, tokens: Mapping[str, str], *, dark: bool) -> None:
        self.dark = dark
        self._mixes: dict[tuple[str, str, float], QColor] = {}
        self._colours = {name: QColor(value) for name, value in tokens.items()}

    def __getitem__(self, token: str) -> QColor:
        return self._colours[token]

    def mixed(self, over: str, under: str, amount: float) -> QColor:
        """``over`` laid on ``under`` with an opacity of ``amount``: painting that is far cheaper than blending."""
        key = (over, under, amount)
        if key not in self._mixes:
            self._mixes[key] = _mix(self[over], self[under], amount)
        return self._mixes[key]

    def css(self, token: str) -> str:
        """The colour as a style sheet writes it."""
        return self._colours[token].name(QColor.NameFormat.HexArgb)

    def palette(self) -> QPalette:
        """Palette for controls that Qt paints itself."""
        made = QPalette()
        roles = QPalette.ColorRole
        pairs = {
            roles.Window: "bg_window",
            roles.WindowText: "text",
            roles.Base: "surface_raised",
            roles.AlternateBase: "surface_sunken",
            roles.Text: "text",
            roles.Button: "surface_sunken",
            roles.ButtonText: "text",
            roles.PlaceholderText: "text2",
            roles.Highlight: "selection",
            roles.HighlightedText: "text",
            roles.Link: "accent_text",
            roles.ToolTipBase: "toast",
            roles.ToolTipText: "on_toast",
            roles.Accent: "accent",
        }
        for role, token in pairs.items():
            made.setColor(role, self[token])
        for role in (roles.WindowText, roles.Text, roles.ButtonText):
            made.setColor(QPalette.ColorGroup.Disabled, role, self["text_disabled"])
        return made


def _mix(over: QColor, under: QColor, amount: float) -> QColor:
    red, green, blue = (
        round(below + (above - below) * amount)
        for above, below in zip(
            (over.red(), over.green(), over.blue()), (under.red(), under.green(), under.blue()), strict=True
        )
    )
    return QColor(red, green, blue)


@cache
def light() -> Theme:
    """The light theme."""
    return Theme(LIGHT, dark=False)


@cache
def dark() -> Theme:
    """The dark theme."""
    return Theme(DARK, dark=True)


def choose(choice: ThemeChoice) -> Theme:
    """The theme of a setting; ``SYSTEM`` asks the desktop's colour scheme."""
    if choice is ThemeChoice.SYSTEM:
        hints = QGuiApplication.styleHints()
        wants_dark = hints is not None and hints.colorScheme() == Qt.ColorScheme.Dark
        return dark() if wants_dark else light()
    return dark() if choice is ThemeChoice.DARK else light()
