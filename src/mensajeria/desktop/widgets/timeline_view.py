"""The timeline: paints what the window holds, and answers pointer and keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import (
    QEvent,
    QModelIndex,
    QPoint,
    QPointF,
    QRectF,
    Qt,
    QUrl,
    pyqtSignal,
)
from PyQt6.QtGui import (
    QDesktopServices,
    QFocusEvent,
    QHelpEvent,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QPainter,
    QPaintEvent,
)
from PyQt6.QtWidgets import QToolTip

from mensajeria.desktop.theme import fonts, shadow, wallpaper
from mensajeria.desktop.viewmodels.types import MessageState
from mensajeria.desktop.widgets.hits import Hit, Target, hit
from mensajeria.desktop.widgets.hover_bar import MARGIN, HoverBar
from mensajeria.desktop.widgets.message_delegate import paint_date
from mensajeria.desktop.widgets.message_layout import DATE_HEIGHT, centred, column
from mensajeria.desktop.widgets.timeline_scroll import TimelineScroll

if TYPE_CHECKING:
    from collections.abc import Callable

    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.timeline import TimelineModel
    from mensajeria.desktop.viewmodels.types import MessageRow

_CHORDS = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier | Qt.KeyboardModifier.MetaModifier


class TimelineView(TimelineScroll):
    """Paints a ``TimelineModel``, and says what the pointer and the keys want."""

    retry_wanted = pyqtSignal(str)
    discard_wanted = pyqtSignal(str)
    menu_wanted = pyqtSignal(object, QPoint)
    """(MessageRow, global position)"""
    copy_wanted = pyqtSignal(object)
    """(MessageRow)"""
    reply_wanted = pyqtSignal(object)
    edit_wanted = pyqtSignal(object)
    delete_wanted = pyqtSignal(object)
    file_wanted = pyqtSignal(object, bool)
    """(MessageRow, on its round button): its file was pressed."""
    react_wanted = pyqtSignal(object, QPoint)
    """(MessageRow, global position): an emoji is to be chosen."""
    reaction_wanted = pyqtSignal(object, str)
    """(MessageRow, emoji): a pill was pressed."""
    quote_wanted = pyqtSignal(object)
    """(MessageRow): the message that it answers was pressed."""

    def __init__(self, ui: UiContext, model: TimelineModel) -> None:
        super().__init__(ui, model)
        self._keyboard = False
        self._hovered = ""
        self.hover = HoverBar(ui, self._viewport())
        self._wire_hover()
        self.moved.connect(self.hover.hide)
        ui.language_changed.connect(self._rename)
        self._rename()

    # ---- painting --------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Wallpaper, rows, date pill."""
        theme = self._ui.theme
        painter = QPainter(self._viewport())
        offset = self._bar.value() % wallpaper.TILE
        box = QRectF(self._viewport().rect())
        wallpaper.draw(painter, box, QPointF(0, offset), theme["bg_chat"], theme["bg_pattern"])
        painter.end()
        super().paintEvent(event)
        self._paint_sticky_date()

    def _paint_sticky_date(self) -> None:
        if not self._date_timer.isActive() or not self._timeline.rows:
            return
        place = self.first_visible()
        layout = self._delegate.layout(place)
        top = self.visualRect(self._timeline.index(place)).top()
        if layout.date_text and top + layout.date_box.top() > 0:
            return
        text = self._ui.wording.long_date(self._timeline.day_of(place))
        box = centred(
            text, fonts.CAPTION_STRONG, column(self._viewport().width()), self._pushed(place), DATE_HEIGHT, 12
        )
        painter = QPainter(self._viewport())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        shadow.draw(painter, box, 13, shadow.FLOATING, self._ui.theme["shadow"])
        paint_date(painter, self._ui, box, text)

    def _pushed(self, place: int) -> float:
        """Top of the sticky pill: 10 px, less when the next day's own pill comes up to it."""
        for after in range(place + 1, len(self._timeline.rows)):
            top = self.visualRect(self._timeline.index(after)).top()
            if top > 10 + 2 * DATE_HEIGHT:
                break
            layout = self._delegate.layout(after)
            if layout.date_text:
                return min(10.0, top + layout.date_box.top() - DATE_HEIGHT - 6)
        return 10.0

    # ---- pointer and keys ------------------------------------------------------------------------------------

    def _hit(self, point: QPoint) -> tuple[int, QPointF]:
        index = self.indexAt(point)
        if not index.isValid():
            return -1, QPointF()
        slack = self._delegate.slack if index.row() == 0 else 0.0
        return index.row(), QPointF(point) - QPointF(self.visualRect(index).topLeft()) - QPointF(0, slack)

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        """Links, retry and discard."""
        super().mouseReleaseEvent(event)
        if event is None or event.button() != Qt.MouseButton.LeftButton:
            return
        place, at = self._hit(event.pos())
        if place < 0:
            return
        self._act(self._timeline.rows[place], hit(self._delegate.layout(place), at))

    def _act(self, row: MessageRow, found: Hit) -> None:
        """Do what a press on a part of a row means."""
        match found.target:
            case Target.RETRY:
                self.retry_wanted.emit(row.key)
            case Target.DISCARD:
                self.discard_wanted.emit(row.key)
            case Target.QUOTE:
                self.quote_wanted.emit(row)
            case Target.REACTION:
                self.reaction_wanted.emit(row, found.value)
            case Target.FILE:
                self.file_wanted.emit(row, bool(found.value))
            case Target.LINK:
                QDesktopServices.openUrl(QUrl(found.value, QUrl.ParsingMode.StrictMode))
            case Target.NOTHING:
                pass

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """A hand over what can be pressed, and the bar beside the message."""
        super().mouseMoveEvent(event)
        if event is None:
            return
        place, at = self._hit(event.pos())
        hot = place >= 0 and hit(self._delegate.layout(place), at).target is not Target.NOTHING
        self._viewport().setCursor(Qt.CursorShape.PointingHandCursor if hot else Qt.CursorShape.ArrowCursor)
        self._hover_over(place)

    def leaveEvent(self, event: QEvent | None) -> None:
        """The bar goes with the pointer."""
        super().leaveEvent(event)
        self.hover.hide()

    def _hover_over(self, place: int) -> None:
        """Put the bar beside a message; notices have none."""
        row = self._timeline.rows[place] if place >= 0 else None
        if row is None or not row.is_message or not row.position_is_final:
            self.hover.hide()
            return
        if row.key != self._hovered or not self.hover.isVisible():
            self._hovered = row.key
            self.hover.place(self._bubble_on_screen(place), outgoing=row.outgoing)

    def _bubble_on_screen(self, place: int) -> QRectF:
        """A row's bubble in the viewport's coordinates."""
        origin = QPointF(self.visualRect(self._timeline.index(place)).topLeft())
        slack = self._delegate.slack if place == 0 else 0.0
        return self._delegate.layout(place).bubble_box.translated(origin + QPointF(0, slack))

    def _wire_hover(self) -> None:
        self.hover.reply.connect(lambda: self._with_hovered(self.reply_wanted.emit))
        self.hover.react.connect(lambda: self._with_hovered(lambda row: self.react_wanted.emit(row, self._beside())))
        self.hover.more.connect(lambda: self._with_hovered(lambda row: self.menu_wanted.emit(row, self._beside())))

    def _beside(self) -> QPoint:
        return self.hover.mapToGlobal(QPoint(MARGIN, self.hover.height() - MARGIN + 4))

    def _with_hovered(self, act: Callable[[MessageRow], object]) -> None:
        place = self._timeline.find(self._hovered)
        if place >= 0:
            act(self._timeline.rows[place])

    def contextMenuEvent(self, event: object) -> None:
        """The menu of the row under the pointer, or of the focused one (Shift+F10)."""
        point = event.pos() if hasattr(event, "pos") else QPoint()
        place, at = self._hit(point)
        if self._delegate.focused_row >= 0 and (place < 0 or self._keyboard):
            place = self._delegate.focused_row
            box = self.visualRect(self._timeline.index(place))
            point = QPoint(round(self._delegate.layout(place).bubble_box.center().x()), box.center().y())
        elif place < 0 or not self._delegate.layout(place).bubble_box.contains(at):
            return
        if self._timeline.rows[place].service is None:
            self.menu_wanted.emit(self._timeline.rows[place], self._viewport().mapToGlobal(point))

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Arrows walk through the rows; Enter opens the row's menu; End goes to the end."""
        if event is None:
            return
        key = event.key()
        rows = len(self._timeline.rows)
        if key in (Qt.Key.Key_Up, Qt.Key.Key_Down) and rows and not event.modifiers():
            at = self._delegate.focused_row
            step = -1 if key == Qt.Key.Key_Up else 1
            self._focus_row(rows - 1 if at < 0 else min(max(at + step, 0), rows - 1))
        elif not event.modifiers() & _CHORDS and self._press_letter(event):
            pass
        elif event.matches(QKeySequence.StandardKey.Copy) and self.focused_message is not None:
            self.copy_wanted.emit(self.focused_message)
        elif key == Qt.Key.Key_End:
            self.scroll_to_end()
        elif key in (Qt.Key.Key_PageUp, Qt.Key.Key_PageDown):
            step = self._viewport().height() - 60
            self._glide(self._bar.value() + (step if key == Qt.Key.Key_PageDown else -step))
        elif key == Qt.Key.Key_Home:
            self._glide(0)
        else:
            event.ignore()

    def _press_letter(self, event: QKeyEvent) -> bool:
        """Keys that act on the focused message only (WCAG 2.1.4); whether it was one of them."""
        row = self.focused_message
        if row is None:
            return False
        below = self._viewport().mapToGlobal(self._bubble_on_screen(self._delegate.focused_row).bottomLeft().toPoint())
        acts: dict[int, Callable[[], object]] = {
            Qt.Key.Key_R: lambda: self.reply_wanted.emit(row),
            Qt.Key.Key_E: lambda: self.edit_wanted.emit(row),
            Qt.Key.Key_C: lambda: self.copy_wanted.emit(row),
            Qt.Key.Key_Delete: lambda: self.delete_wanted.emit(row),
            Qt.Key.Key_Plus: lambda: self.react_wanted.emit(row, below),
            Qt.Key.Key_Return: lambda: self._open_row(row, below),
            Qt.Key.Key_Enter: lambda: self._open_row(row, below),
        }
        act = acts.get(event.key())
        if act is None or row.service is not None:
            return False
        act()
        return True

    def _open_row(self, row: MessageRow, at: QPoint) -> None:
        """Enter: the file if there is one, else the menu."""
        if row.file is not None:
            self.file_wanted.emit(row, False)
        else:
            self.menu_wanted.emit(row, at)

    @property
    def focused_message(self) -> MessageRow | None:
        """The row that has the keyboard."""
        place = self._delegate.focused_row
        return self._timeline.rows[place] if 0 <= place < len(self._timeline.rows) and self.hasFocus() else None

    def _focus_row(self, place: int) -> None:
        self._delegate.focused_row, self._keyboard = place, True
        index = self._timeline.index(place)
        self.setCurrentIndex(index)
        self.scrollTo(index)
        self._viewport().update()

    def focusInEvent(self, event: QFocusEvent | None) -> None:
        """Arriving by keyboard puts the ring on the last row on screen."""
        super().focusInEvent(event)
        if event is not None and event.reason() != Qt.FocusReason.MouseFocusReason and self._timeline.rows:
            index = self.indexAt(QPoint(10, self._viewport().height() - 2))
            self._focus_row(index.row() if index.isValid() else len(self._timeline.rows) - 1)

    def focusOutEvent(self, event: QFocusEvent | None) -> None:
        """Take the ring away."""
        super().focusOutEvent(event)
        self._delegate.focused_row, self._keyboard = -1, False
        self._viewport().update()

    def viewportEvent(self, event: QEvent | None) -> bool:
        """Tooltips carry the word for a message's state."""
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            place, at = self._hit(event.pos())
            row = self._timeline.rows[place] if place >= 0 else None
            inside = row is not None and self._delegate.layout(place).bubble_box.contains(at)
            QToolTip.showText(event.globalPos(), self._tip(row) if inside and row is not None else "", self)
            return True
        return super().viewportEvent(event)

    def _tip(self, row: MessageRow) -> str:
        if row.state is MessageState.FAILED and row.error:
            return self._ui.translator.error(row.error)
        if row.clock_off:
            return self._ui.say("timeline.clock_off")
        return self._ui.wording.state(row.state)

    def currentChanged(self, current: QModelIndex, previous: QModelIndex) -> None:
        """Nothing scrolls by itself when rows are taken away."""

    def _rename(self) -> None:
        self.setAccessibleName(self._ui.say("timeline.name"))
