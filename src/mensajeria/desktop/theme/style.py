"""The one style sheet, for the few controls that Qt paints itself; everything else is painted in ``widgets``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtGui import QColor

if TYPE_CHECKING:
    from mensajeria.desktop.theme.theme import Theme

_SHEET = """
QLineEdit, QPlainTextEdit {{
    background: transparent; border: none; padding: 0; color: {text};
    selection-background-color: {selection}; selection-color: {text}; placeholder-text-color: {text2};
}}
QToolTip {{
    background: {toast}; color: {on_toast}; border: none; padding: 6px 8px; font-size: 12px;
}}
QSplitter::handle {{ background: {border}; }}
QScrollBar:vertical {{ background: transparent; width: 8px; margin: 0; border: none; }}
QScrollBar::handle:vertical {{ background: {handle}; border-radius: 3px; min-height: 36px; margin: 2px 1px; }}
QScrollBar::handle:vertical:hover {{ background: {border_strong}; }}
QScrollBar::add-line:vertical, QScrollBar::sub-line:vertical {{ height: 0; }}
QScrollBar::add-page:vertical, QScrollBar::sub-page:vertical {{ background: transparent; }}
"""


def sheet(theme: Theme) -> str:
    """The application's style sheet in the colours of ``theme``."""
    handle = QColor(theme["border_strong"])
    handle.setAlphaF(0.45)
    tokens = ("text", "text2", "selection", "toast", "on_toast", "border", "border_strong")
    rgba = f"rgba({handle.red()}, {handle.green()}, {handle.blue()}, {handle.alpha()})"
    return _SHEET.format(handle=rgba, **{name: theme.css(name) for name in tokens})
