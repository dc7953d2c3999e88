"""A grid of emoji: arrows walk through it, Enter or a press chooses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from PyQt6.QtCore import QAbstractListModel, QModelIndex, QRectF, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QKeyEvent, QPainter, QPen
from PyQt6.QtWidgets import QFrame, QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from mensajeria.desktop.qt import present
from mensajeria.desktop.theme import fonts
from mensajeria.desktop.widgets.scrollbar import OverlayScrollBar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.emoji import Emoji

SIDE: Final = 40
COLUMNS: Final = 8
ROWS: Final = 6
_ENTER = (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space)


class EmojiModel(QAbstractListModel):
    """What the grid shows now."""

    def __init__(self, ui: UiContext) -> None:
        super().__init__()
        self._ui = ui
        self.shown: tuple[Emoji, ...] = ()

    def show(self, emoji: Sequence[Emoji]) -> None:
        """Show others."""
        self.beginResetModel()
        self.shown = tuple(emoji)
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """How many there are."""
        return 0 if parent is not None and parent.isValid() else len(self.shown)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """The emoji, and its name as tooltip and for screen readers."""
        each = self.shown[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return each.symbol
        if role in (Qt.ItemDataRole.AccessibleTextRole, Qt.ItemDataRole.ToolTipRole):
            return each.name(self._ui.translator.language)
        return None


class _Cell(QStyledItemDelegate):
    """One emoji, on a rounded ground under the pointer or the mark."""

    def __init__(self, ui: UiContext, grid: QListView) -> None:
        super().__init__(grid)
        self._ui = ui

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:  # noqa: ARG002 - Qt's signature
        """A square."""
        return QSize(SIDE, SIDE)

    def paint(self, painter: QPainter | None, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        """Ground, ring with the keyboard, emoji."""
        if painter is None:
            return
        theme, grid = self._ui.theme, present(option.widget)
        hovered = bool(option.state & QStyle.StateFlag.State_MouseOver)
        marked = bool(option.state & QStyle.StateFlag.State_Selected)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(option.rect).adjusted(2, 2, -2, -2)
        if marked or hovered:
            painter.setPen(Qt.PenStyle.NoPen)
            if marked and grid.hasFocus():
                painter.setPen(QPen(theme["focus"], 2))
            painter.setBrush(theme["accent_soft" if marked else "hover"])
            painter.drawRoundedRect(box, 8, 8)
        painter.setPen(theme["text"])
        painter.setFont(fonts.emoji(22))
        painter.drawText(option.rect, Qt.AlignmentFlag.AlignCenter, str(index.data()))
        painter.restore()


class EmojiGrid(QListView):
    """Eight columns, six rows on screen."""

    chosen = pyqtSignal(str)
    marked = pyqtSignal(object)
    """(Emoji or None) that the arrows or the pointer have reached."""
    left_above = pyqtSignal()
    typed = pyqtSignal(str)
    """A letter: it is meant for the search."""

    def __init__(self, ui: UiContext) -> None:
        super().__init__()
        self._ui = ui
        self.emoji = EmojiModel(ui)
        self.setModel(self.emoji)
        self.setItemDelegate(_Cell(ui, self))
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setMovement(QListView.Movement.Static)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setUniformItemSizes(True)
        self.setGridSize(QSize(SIDE, SIDE))
        self.setSelectionRectVisible(False)
        self.setEditTriggers(QListView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMouseTracking(True)
        self.setFixedSize(COLUMNS * SIDE + 4, ROWS * SIDE)
        present(self.viewport()).setAutoFillBackground(False)
        OverlayScrollBar(self)
        self.entered.connect(lambda index: self.marked.emit(self.emoji.shown[index.row()]))
        self.clicked.connect(lambda index: self.chosen.emit(str(index.data())))
        present(self.selectionModel()).currentChanged.connect(self._mark)

    def show_emoji(self, emoji: Sequence[Emoji]) -> None:
        """Show others, from the top, with the first one marked."""
        self.emoji.show(emoji)
        self.scrollToTop()
        self.setCurrentIndex(self.emoji.index(0))
        if not emoji:
            self.marked.emit(None)

    @property
    def current(self) -> str:
        """The marked emoji, or empty."""
        index = self.currentIndex()
        return str(index.data()) if index.isValid() else ""

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Enter chooses; up from the first row goes back to the search, and so do letters."""
        if event is None:
            return
        if event.key() in _ENTER:
            if self.current:
                self.chosen.emit(self.current)
        elif event.key() == Qt.Key.Key_Up and self.currentIndex().row() < COLUMNS:
            self.left_above.emit()
        elif (
            event.text() and event.text().isprintable() and not event.modifiers() & Qt.KeyboardModifier.ControlModifier
        ):
            self.typed.emit(event.text())
        else:
            super().keyPressEvent(event)

    def _mark(self, index: QModelIndex) -> None:
        self.marked.emit(self.emoji.shown[index.row()] if index.isValid() else None)
