"""Pop-up menus with the program's look and the icons of the catalogue's actions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QRectF, Qt
from PyQt6.QtGui import QAction, QPainter, QPaintEvent
from PyQt6.QtWidgets import QMenu, QProxyStyle, QStyle, QStyleOption, QWidget, QWidgetAction

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
        self._dangers: list[QAction] = []
        self.setWindowFlags(
            self.windowFlags() | Qt.WindowType.FramelessWindowHint | Qt.WindowType.NoDropShadowWindowHint
        )
        self.setAttribute(Qt.WidgetAttribute.WA_TranslucentBackground)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setFont(fonts.font(fonts.BODY_MEDIUM))
        self.setMinimumWidth(260)  # wide enough to look calm
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

    def add(self, key: str, icon: str, act: Callable[[], object], shortcut: str = "", *, danger: bool = False) -> None:
        """Add an item: a sentence of the catalogue, an icon, what to do, and keys to show at the right."""
        text = self._ui.say(key)
        made = icons.icon(icon, 20, self._ui.theme["danger" if danger else "text2"], self.devicePixelRatioF())
        action = present(self.addAction(made, f"{text}\t{shortcut}" if shortcut else text))
        action.setIconVisibleInMenu(True)
        if danger:
            self._dangers.append(action)
        # Without the signal's own argument ("checked").
        action.triggered.connect(lambda _checked: act())

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """Ground and items: a style sheet knows neither red items nor fainter shortcuts. It still gives the sizes."""
        painter, theme = QPainter(self), self._ui.theme
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(theme["border"])
        painter.setBrush(theme["surface_raised"])
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 12, 12)
        for action in self.actions():
            box = QRectF(self.actionGeometry(action))
            if action.isSeparator():
                painter.fillRect(QRectF(box.left() + 6, box.center().y(), box.width() - 12, 1), theme["border"])
            elif not isinstance(action, QWidgetAction):
                self._paint_item(painter, action, box)

    def _paint_item(self, painter: QPainter, action: QAction, box: QRectF) -> None:
        theme = self._ui.theme
        if action is self.activeAction():
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme["pressed" if theme.dark else "hover"])
            painter.drawRoundedRect(box, 8, 8)
        middle = round(box.center().y())
        action.icon().paint(painter, round(box.left()) + 12, middle - 10, 20, 20)
        words, _, shortcut = action.text().partition("\t")
        inside = box.adjusted(44, 0, -14, 0)
        painter.setFont(self.font())
        painter.setPen(theme["danger" if action in self._dangers else "text"])
        painter.drawText(inside, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, words)
        painter.setFont(fonts.font(fonts.CAPTION))
        painter.setPen(theme["text2"])
        painter.drawText(inside, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, shortcut)
