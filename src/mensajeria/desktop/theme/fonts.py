"""The bundled typefaces and the roles text is set in. No system font: line breaks must be the same on every machine."""

from __future__ import annotations

from functools import cache, lru_cache
from importlib import resources
from typing import Final, NamedTuple

from PyQt6.QtCore import QByteArray
from PyQt6.QtGui import QFont, QFontDatabase, QFontMetricsF

UI_FAMILY: Final = "Inter"
CODE_FAMILY: Final = "JetBrains Mono"
EMOJI_FAMILIES: Final = ("Noto Color Emoji", "Segoe UI Emoji", "Apple Color Emoji")
_FILES: Final = (
    "Inter-Regular.otf",
    "Inter-Medium.otf",
    "Inter-SemiBold.otf",
    "Inter-Bold.otf",
    "Inter-Italic.otf",
    "JetBrainsMono-Regular.ttf",
)


class FontsMissingError(RuntimeError):
    """The bundled fonts cannot be loaded: the installation is damaged."""


class Role(NamedTuple):
    """A text role: size and line height in px, weight 400-700, letter spacing in percent of the size."""

    size: int
    line: int
    weight: int = 400
    tracking: float = 0.0


BRAND: Final = Role(30, 38, 600, -1.5)
DISPLAY: Final = Role(26, 32, 600, -1.5)
TITLE: Final = Role(18, 24, 600, -1.5)
HEADING: Final = Role(15, 20, 600)
BODY: Final = Role(14, 20)
BODY_MEDIUM: Final = Role(14, 20, 500)
BODY_STRONG: Final = Role(14, 20, 600)
LABEL: Final = Role(13, 18, 600)
LABEL_MEDIUM: Final = Role(13, 18, 500)
PREVIEW: Final = Role(13, 18)
PREVIEW_MEDIUM: Final = Role(13, 18, 500)
CAPTION: Final = Role(12, 16)
CAPTION_MEDIUM: Final = Role(12, 16, 500)
CAPTION_STRONG: Final = Role(12, 16, 600)
MICRO: Final = Role(11, 14)
MICRO_STRONG: Final = Role(11, 14, 600)


@cache
def load() -> None:
    """Register the bundled fonts with the running application, once. Raises ``FontsMissingError``."""
    folder = resources.files("mensajeria.desktop").joinpath("assets", "fonts")
    for name in _FILES:
        if QFontDatabase.addApplicationFontFromData(QByteArray(folder.joinpath(name).read_bytes())) < 0:
            raise FontsMissingError(name)
    QFontDatabase.setApplicationEmojiFontFamilies(list(EMOJI_FAMILIES))


def has_colour_emoji() -> bool:
    """Whether one of the known colour emoji fonts is installed."""
    return not set(EMOJI_FAMILIES).isdisjoint(QFontDatabase.families())


@cache
def font(role: Role) -> QFont:
    """The font of a role. Shared: do not change it."""
    made = QFont(UI_FAMILY)
    made.setPixelSize(role.size)
    made.setWeight(QFont.Weight(role.weight))
    made.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    if role.tracking:
        made.setLetterSpacing(QFont.SpacingType.PercentageSpacing, 100 + role.tracking)
    return made


@cache
def tabular(role: Role) -> QFont:
    """The font of a role with digits of equal width."""
    made = QFont(font(role))
    made.setFeature(QFont.Tag("tnum"), 1)
    return made


@cache
def code(size: int) -> QFont:
    """The fixed-width font."""
    made = QFont(CODE_FAMILY)
    made.setPixelSize(size)
    made.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    return made


@cache
def emoji(size: int) -> QFont:
    """The font of messages that are emoji only."""
    made = QFont(UI_FAMILY)
    made.setPixelSize(size)
    return made


@lru_cache(maxsize=256)
def emoji_width(text: str, size: int) -> float:
    """Width of emoji, px. Remembered: laying one out takes longer than painting it."""
    return QFontMetricsF(emoji(size)).horizontalAdvance(text)


@cache
def metrics(role: Role) -> QFontMetricsF:
    """Metrics of a role's font."""
    return QFontMetricsF(font(role))


@cache
def tabular_metrics(role: Role) -> QFontMetricsF:
    """Metrics of a role's font with digits of equal width."""
    return QFontMetricsF(tabular(role))


@cache
def baseline(role: Role) -> float:
    """Distance from the top of the role's line box to the baseline, px."""
    measured = metrics(role)
    return (role.line - measured.ascent() - measured.descent()) / 2 + measured.ascent()


def message_role(size: int) -> Role:
    """The role of message text at a text size setting, px."""
    return Role(size, round(size * 1.43))
