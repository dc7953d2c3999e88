"""The timeline: a list over a sliding window of rows, kept still while rows come and go."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from PyQt6.QtCore import (
    QEasingCurve,
    QEvent,
    QModelIndex,
    QPoint,
    QPointF,
    QRectF,
    Qt,
    QTimer,
    QUrl,
    QVariantAnimation,
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
    QResizeEvent,
    QWheelEvent,
)
from PyQt6.QtWidgets import QAbstractItemView, QFrame, QListView, QToolTip, QWidget

from mensajeria.desktop.qt import application, present
from mensajeria.desktop.theme import fonts, shadow, wallpaper
from mensajeria.desktop.viewmodels.types import MessageState
from mensajeria.desktop.widgets.hits import Hit, Target, hit
from mensajeria.desktop.widgets.hover_bar import MARGIN, HoverBar
from mensajeria.desktop.widgets.message_delegate import MessageDelegate, paint_date
from mensajeria.desktop.widgets.message_layout import DATE_HEIGHT, centred, column
from mensajeria.desktop.widgets.scrollbar import OverlayScrollBar

if TYPE_CHECKING:
    from collections.abc import Callable

    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.timeline import Decor, TimelineModel
    from mensajeria.desktop.viewmodels.types import MessageRow

TOP_MARGIN = 12
DATE_REST_MS = 1000
WHEEL_MS = 160
IDLE_SLICE_S = 0.004
"""Longest stretch of layout work between two frames."""
FLASH_MS = 250
_CHORDS = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier | Qt.KeyboardModifier.MetaModifier
_STEP = QEasingCurve.Type.InExpo
WHEEL_STEP = 110
"""Pixels for one notch of a wheel (120 units)."""


class TimelineView(QListView):
    """Shows a ``TimelineModel``. Keeps the end in view when it is there, else the first visible row where it stands."""

    seen = pyqtSignal(object)
    """Position of the last row on screen, after it came to rest."""
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
    distance_changed = pyqtSignal(int)
    """Pixels between the lower edge and the end of the window."""

    _settling = True
    """A layout is under way (or the view is not built yet): scrolling is not the person's."""

    def __init__(self, ui: UiContext, model: TimelineModel) -> None:
        super().__init__()
        self._ui, self._timeline = ui, model
        self._at_end, self._keyboard = True, False
        self._anchor: tuple[str, int] | None = None
        self._delegate = MessageDelegate(ui, model, self)
        self._delegate.layout_begins.connect(self._begin_layout)
        self.setModel(model)
        self.setItemDelegate(self._delegate)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setMouseTracking(True)
        self.setUniformItemSizes(False)
        self.setMinimumHeight(120)
        OverlayScrollBar(self)
        self._bar = present(self.verticalScrollBar())
        self._bar.setSingleStep(40)
        self._make_timers()
        self._waiting: list[tuple[MessageRow, Decor]] = []
        self._hovered = ""
        self.hover = HoverBar(ui, self._viewport())
        self._wire_hover()
        self._delegate.pictures.ready.connect(self._viewport().update)
        ui.faces.ready.connect(self._viewport().update)
        model.transfer_moved.connect(self._repaint_row)
        model.staging = True
        model.page_staged.connect(self._stage)
        self._bar.valueChanged.connect(self._scrolled)
        model.opened.connect(self._opened)
        model.modelReset.connect(self._cleared)
        model.window_changed.connect(self._seen_timer.start)
        for change in (ui.theme_changed, ui.language_changed, ui.text_size_changed):
            change.connect(self._dress)
        ui.language_changed.connect(self._rename)
        self._rename()
        self._settling = False

    def _make_timers(self) -> None:
        self._wheel = QVariantAnimation(self)
        self._wheel.setEasingCurve(QEasingCurve.Type.OutCubic)
        self._wheel.valueChanged.connect(self._bar.setValue)
        self._date_timer = QTimer(self)
        self._date_timer.setSingleShot(True)
        self._date_timer.setInterval(DATE_REST_MS)
        self._date_timer.timeout.connect(self._viewport().update)
        self._seen_timer = QTimer(self)
        self._seen_timer.setSingleShot(True)
        self._seen_timer.setInterval(120)
        self._seen_timer.timeout.connect(self.tell_seen)
        self._idle = QTimer(self)
        self._idle.setInterval(0)
        self._idle.timeout.connect(self._prepare_some)
        self._flash = QVariantAnimation(self)
        self._flash.setStartValue(1.0)
        self._flash.setEndValue(0.0)
        self._flash.setLoopCount(2)
        self._flash.valueChanged.connect(self._dim)

    # ---- placing ---------------------------------------------------------------------------------------------

    def updateGeometries(self) -> None:
        """The end of a layout: put what was on screen back where it was."""
        if self._settling:
            super().updateGeometries()
            return
        self._settling = True
        try:
            super().updateGeometries()
            self._restore()
        finally:
            self._settling = False
        self._remember()

    def _begin_layout(self) -> None:
        self._delegate.set_width(self._viewport().width())
        rows = len(self._timeline.rows)
        self._delegate.slack = 0.0
        content = sum(self._delegate.height(place) for place in range(rows))
        self._delegate.slack = float(max(TOP_MARGIN, self._viewport().height() - content)) if rows else 0.0

    def _restore(self) -> None:
        if self._at_end or self._anchor is None:
            self._bar.setValue(self._bar.maximum())
            return
        key, top = self._anchor
        place = self._timeline.find(key)
        if place >= 0:
            now = self.visualRect(self._timeline.index(place)).top()
            self._bar.setValue(self._bar.value() + now - top)

    def _remember(self) -> None:
        self._at_end = self._timeline.at_end and self._bar.value() >= self._bar.maximum() - 4
        self._timeline.following = self._at_end
        place = self.first_visible()
        if place >= 0:
            top = self.visualRect(self._timeline.index(place)).top()
            self._anchor = (self._timeline.rows[place].key, top)
        self.distance_changed.emit(self.distance)

    @property
    def distance(self) -> int:
        """Pixels between the lower edge and the end of the window; a screen more when newer rows are not held."""
        beyond = 0 if self._timeline.at_end else 2 * self._viewport().height()
        return self._bar.maximum() - self._bar.value() + beyond

    def first_visible(self) -> int:
        """Place of the first row on screen, -1 without rows."""
        index = self.indexAt(QPoint(10, 1))
        return index.row() if index.isValid() else (0 if self._timeline.rows else -1)

    def scroll_to_end(self) -> None:
        """Show the end of the window."""
        self._wheel.stop()
        self._at_end = True
        self._bar.setValue(self._bar.maximum())

    def scroll_to_divider(self) -> bool:
        """Show the new-messages line near the top; false when it is not in the window."""
        place = self._timeline.divider_row
        if place < 0:
            return False
        self.executeDelayedItemsLayout()
        top = self.visualRect(self._timeline.index(place)).top()
        self._bar.setValue(self._bar.value() + top - 48)
        return True

    def _opened(self) -> None:
        self._anchor, self._at_end = None, True
        self.scheduleDelayedItemsLayout()
        self.executeDelayedItemsLayout()
        if self._timeline.target:
            self.show_row(self._timeline.find(self._timeline.target))
        elif self._timeline.divider_row >= 0:
            self.scroll_to_divider()
        self._seen_timer.start()

    def show_row(self, place: int) -> None:
        """Bring a row into the upper part of the view and let it flash."""
        if place < 0:
            return
        self._wheel.stop()
        self.executeDelayedItemsLayout()
        top = self.visualRect(self._timeline.index(place)).top()
        self._bar.setValue(self._bar.value() + top - self._viewport().height() // 3)
        self._delegate.flashing, self._delegate.flash = self._timeline.rows[place].key, 1.0
        self._flash.stop()
        still = not self._ui.duration(FLASH_MS)
        # With less motion it stays lit for as long and goes out at once.
        self._flash.setEasingCurve(_STEP if still else QEasingCurve.Type.Linear)
        self._flash.setDuration(FLASH_MS)
        self._flash.start()

    def mark(self, words: tuple[str, ...], position: int | None) -> None:
        """Mark folded words in the texts, more strongly in the message at ``position``; no words: nothing."""
        self._delegate.sought, self._delegate.found = words, position
        self._viewport().update()

    @property
    def marked(self) -> tuple[tuple[str, ...], int | None]:
        """The words that are marked, and the place of the message where they are marked more strongly."""
        return self._delegate.sought, self._delegate.found

    def reveal(self, key: str) -> None:
        """Scroll no further than a row needs to be seen."""
        place = self._timeline.find(key)
        if place >= 0:
            self.scrollTo(self._timeline.index(place))

    def _dim(self, brightness: float) -> None:
        self._delegate.flash = brightness
        self._viewport().update()

    def _repaint_row(self, place: int) -> None:
        self._viewport().update(self.visualRect(self._timeline.index(place)))

    def _cleared(self) -> None:
        self._wheel.stop()
        self._delegate.focused_row = -1
        if not self._timeline.rows:
            self._delegate.forget()
            self._anchor, self._at_end = None, True

    def _dress(self) -> None:
        self._delegate.forget()
        self.scheduleDelayedItemsLayout()
        self._viewport().update()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Lay out again; the end stays the end."""
        super().resizeEvent(event)
        self.scheduleDelayedItemsLayout()

    # ---- pages, laid out before they come in -----------------------------------------------------------------

    def _stage(self) -> None:
        self._waiting = self._timeline.staged
        self._idle.start()

    def _prepare_some(self) -> None:
        """Lay out waiting rows for a few milliseconds.

        When none is left, or the bar is at the edge, let them come in.
        """
        until = monotonic() + IDLE_SLICE_S
        hurried = self._bar.value() < 40 or self._bar.maximum() - self._bar.value() < 40
        while self._waiting and not hurried and monotonic() < until:
            self._delegate.prepare(*self._waiting.pop())
        if hurried or not self._waiting:
            self._idle.stop()
            self._waiting = []
            self._timeline.commit()

    # ---- scrolling -------------------------------------------------------------------------------------------

    def _scrolled(self) -> None:
        self.hover.hide()
        if self._settling:
            return
        self._remember()
        screen = self._viewport().height()
        if self._bar.value() < 2 * screen:
            self._timeline.fetch_older()
        if self._bar.maximum() - self._bar.value() < 2 * screen:
            self._timeline.fetch_newer()
        self._date_timer.start()
        self._seen_timer.start()

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        """The wallpaper and the date pill do not scroll like the rows: repaint all of it."""
        super().scrollContentsBy(dx, dy)
        self._viewport().update()

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        """Touchpads move the content directly, wheels glide."""
        if event is None:
            return
        if event.pixelDelta().y():
            self._wheel.stop()
            self._bar.setValue(self._bar.value() - event.pixelDelta().y())
        elif notches := event.angleDelta().y() / 120:
            running = self._wheel.state() == QVariantAnimation.State.Running
            start = int(self._wheel.endValue()) if running else self._bar.value()
            target = min(max(start - round(notches * WHEEL_STEP), 0), self._bar.maximum())
            self._glide(target)
        event.accept()

    def _glide(self, target: int) -> None:
        self._wheel.stop()
        duration = self._ui.duration(WHEEL_MS)
        if not duration:
            self._bar.setValue(target)
            return
        self._wheel.setStartValue(self._bar.value())
        self._wheel.setEndValue(target)
        self._wheel.setDuration(duration)
        self._wheel.start()

    def tell_seen(self) -> None:
        """Say how far the person has seen, if the window is the one in use."""
        rows = self._timeline.rows
        if not rows or not application().activeWindow() or not self.isVisible():
            return
        index = self.indexAt(QPoint(10, self._viewport().height() - 2))
        self.seen.emit(rows[index.row() if index.isValid() else -1].position)

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

    def _viewport(self) -> QWidget:
        return present(self.viewport())
