"""Contrast of two colours by WCAG 2.2 (relative luminance of sRGB)."""

from __future__ import annotations


def contrast(first: str, second: str) -> float:
    """Contrast ratio, 1 to 21, of two opaque colours ``#RRGGBB``."""
    high, low = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(int(colour[at : at + 2], 16) / 255) for at in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)
