"""Pop-up menus with the program's look and the icons of the catalogue's actions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QSize, Qt
from PyQt6.QtWidgets import QMenu, QProxyStyle, QStyle, QStyleOption, QWidget

from mensajeria.desktop.qt import present
from mensajeria.desktop.theme import fonts, icons

if TYPE_CHECKING:
    from collections.abc import Callable

    from mensajeria.desktop.theme.context import UiContext

_SHEET = """
QMenu {{ background: {ground}; border: 1px solid {border}; border-radius: 12px; padding: 6px; }}
QMenu::item {{ color: {text}; background: transparent; border-radius: 8px; padding: 10px 14px 10px 12px; margin: 0; }}
QMenu::item:selected {{ background: {hover}; }}
QMenu::icon {{ padding-left: 12px; }}
QMenu::separator {{ height: 1px; background: {border}; margin: 6px 6px; }}
"""


class _IconSize(QProxyStyle):
    """Menu icons of 20 px."""

    def pixelMetric(
        self, metric: QStyle.PixelMetric, option: QStyleOption | None = None, widget: QWidget | None = None
    ) -> int:
        """20 px for small icons, everything else as the base style has it."""
        if metric == QStyle.PixelMetric.PM_SmallIconSize:
            return 20
        return super().pixelMetric(metric, option, widget)


class Menu(QMenu):
    """A menu that is built, shown once and thrown away."""

    def __init__(self, ui: UiContext, parent: QWidget) -> None:
        super().__init__(parent)
        self._ui = ui
        self.setWindowFlags(
            self.windowFlags() | Qt.WindowType.FramelessWindowHint | Qt.WindowType.NoDropShadowWindowHint
        )
        self.setAttribute(Qt.WidgetAttribute.WA_TranslucentBackground)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setFont(fonts.font(fonts.BODY_MEDIUM))
        base = _IconSize()
        base.setParent(self)
        self.setStyle(base)
        theme = ui.theme
        self.setStyleSheet(
            _SHEET.format(
                ground=theme.css("surface_raised"),
                border=theme.css("border"),
                text=theme.css("text"),
                hover=theme.css("hover" if not theme.dark else "pressed"),
            )
        )

    def add(self, key: str, icon: str, act: Callable[[], object], shortcut: str = "") -> None:
        """Add an item: a sentence of the catalogue, an icon, what to do, and keys to show at the right."""
        text = self._ui.say(key)
        ink = self._ui.theme["text2"]
        made = icons.icon(icon, 20, ink, self.devicePixelRatioF())
        action = present(self.addAction(made, f"{text}\t{shortcut}" if shortcut else text))
        action.setIconVisibleInMenu(True)
        # Without the signal's own argument ("checked").
        action.triggered.connect(lambda _checked: act())

    def sizeHint(self) -> QSize:
        """Wide enough to look calm."""
        wanted = super().sizeHint()
        return QSize(max(wanted.width(), 260), wanted.height())
