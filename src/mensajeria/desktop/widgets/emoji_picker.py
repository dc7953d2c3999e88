"""The pop-up in which any emoji is found: search, groups, a grid, and the name of the marked one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import QEvent, QObject, QPoint, QRect, QRectF, Qt, pyqtSignal
from PyQt6.QtGui import QKeyEvent, QPainter, QPaintEvent, QPen
from PyQt6.QtWidgets import QButtonGroup, QHBoxLayout, QVBoxLayout, QWidget

from mensajeria.desktop.qt import application, present
from mensajeria.desktop.theme import fonts, shadow
from mensajeria.desktop.viewmodels import emoji as table
from mensajeria.desktop.widgets.buttons import PaintedButton
from mensajeria.desktop.widgets.emoji_grid import EmojiGrid
from mensajeria.desktop.widgets.fields import SearchBox
from mensajeria.desktop.widgets.labels import ElidedLabel

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.emoji import Emoji

SIGNS: Final = dict(zip(table.GROUPS, ("😀", "👋", "🐻", "🍎", "✈️", "⚽️", "💡", "❤️", "🏁"), strict=True))
_MARGIN: Final = 20


class GroupTab(PaintedButton):
    """A group of emoji, shown by one of them."""

    ring_radius = 8.0

    def __init__(self, ui: UiContext, group: str) -> None:
        self.kind = group
        super().__init__(ui, f"emoji_picker.{group}")
        self.setCheckable(True)
        self.setFixedSize(34, 32)

    def translate(self) -> None:
        """The words are shown as the tooltip."""
        super().translate()
        self.setToolTip(self.text())

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """The emoji; marked when its group is shown, ringed with the focus: the window's ring does not reach here."""
        painter, theme = self.start(), self.ui.theme
        if self.hasFocus():
            painter.setPen(QPen(theme["focus"], 2))
        if self.isChecked() or self.hovered or self.hasFocus():
            painter.setBrush(theme["accent_soft" if self.isChecked() else "hover"])
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 8, 8)
        painter.setFont(fonts.emoji(17))
        painter.setPen(theme["text"])
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, SIGNS[self.kind])


class EmojiPicker(QWidget):
    """Closes with Esc, with a press elsewhere, and once one is chosen (a press with `stays` leaves it open)."""

    chosen = pyqtSignal(str)

    def __init__(self, ui: UiContext, parent: QWidget, *, stays: bool = False) -> None:
        super().__init__(parent, Qt.WindowType.Popup | Qt.WindowType.FramelessWindowHint)
        self.setWindowFlag(Qt.WindowType.NoDropShadowWindowHint)
        self.setAttribute(Qt.WidgetAttribute.WA_TranslucentBackground)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._ui, self._stays, self._group = ui, stays, table.GROUPS[0]
        self.setAccessibleName(ui.say("emoji_picker.title"))
        self.search = SearchBox(ui, "emoji_picker.search")
        self.grid = EmojiGrid(ui)
        self.grid.setAccessibleName(ui.say("emoji_picker.title"))
        self.tabs = [GroupTab(ui, group) for group in table.GROUPS]
        self.name = ElidedLabel(ui, fonts.CAPTION, "text2")
        self._build()
        self._wire()
        self.tabs[0].setChecked(True)
        self._show_group(table.GROUPS[0])

    def _build(self) -> None:
        column = QVBoxLayout(self)
        inset = _MARGIN + 12
        column.setContentsMargins(inset, inset, inset - 4, inset - 2)
        column.setSpacing(8)
        tabs, group = QHBoxLayout(), QButtonGroup(self)
        tabs.setSpacing(1)
        for tab in self.tabs:
            group.addButton(tab)
            tabs.addWidget(tab)
        column.addWidget(self.search)
        column.addLayout(tabs)
        column.addWidget(self.grid)
        column.addWidget(self.name)

    def _wire(self) -> None:
        self.search.line.installEventFilter(self)
        self.search.edited.connect(self._search)
        self.search.submitted.connect(lambda: self._choose(self.grid.current, close=True))
        for tab in self.tabs:
            tab.clicked.connect(lambda _on, group=tab.kind: self._show_group(group))
        self.grid.marked.connect(self._show_name)
        self.grid.left_above.connect(self.search.line.setFocus)
        self.grid.typed.connect(self._type)
        self.grid.chosen.connect(self._choose)

    def open_over(self, anchor: QRect) -> None:
        """Show it above a rectangle of the screen, or below where there is no room, with the focus on the search."""
        self.adjustSize()
        screen = application().screenAt(anchor.center()) or present(application().primaryScreen())
        free = screen.availableGeometry()
        left = min(max(anchor.right() - self.width() + _MARGIN, free.left()), free.right() - self.width())
        above = anchor.top() - self.height() + _MARGIN - 4
        top = above if above >= free.top() else min(anchor.bottom() + 4 - _MARGIN, free.bottom() - self.height())
        self.move(QPoint(left, max(top, free.top())))
        self.show()
        self.search.line.setFocus(Qt.FocusReason.PopupFocusReason)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Down goes from the search into the grid."""
        if (
            watched is self.search.line
            and isinstance(event, QKeyEvent)
            and event.type() == QEvent.Type.KeyPress
            and event.key() == Qt.Key.Key_Down
        ):
            self.grid.setFocus(Qt.FocusReason.TabFocusReason)
            return True
        return super().eventFilter(watched, event)

    def _search(self, text: str) -> None:
        if text.strip():
            self.grid.show_emoji(table.search(text, self._ui.translator.language))
        else:
            self.grid.show_emoji(table.of_group(self._group))

    def _show_group(self, group: str) -> None:
        self._group = group
        if self.search.line.text():
            self.search.line.clear()  # which shows the group
        else:
            self.grid.show_emoji(table.of_group(group))

    def _show_name(self, emoji: Emoji | None) -> None:
        if emoji is None:
            self.name.show_text(self._ui.say("emoji_picker.nothing"))
        else:
            self.name.show_text(f"{emoji.symbol}  {emoji.name(self._ui.translator.language)}")

    def _type(self, text: str) -> None:
        self.search.line.setFocus(Qt.FocusReason.OtherFocusReason)
        self.search.line.insert(text)

    def _choose(self, emoji: str, *, close: bool = False) -> None:
        if not emoji:
            return
        if close or not self._stays:
            self.close()
        self.chosen.emit(emoji)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """A floating card."""
        painter, theme = QPainter(self), self._ui.theme
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(self.rect()).adjusted(_MARGIN, _MARGIN, -_MARGIN, -_MARGIN)
        shadow.draw(painter, box, 12, shadow.FLOATING, theme["shadow"])
        painter.setPen(theme["border"])
        painter.setBrush(theme["surface_raised"])
        painter.drawRoundedRect(box.adjusted(0.5, 0.5, -0.5, -0.5), 12, 12)
