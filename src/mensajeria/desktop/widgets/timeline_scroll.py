"""What keeps a timeline still while rows come and go, and moves it when the person wants it to move."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from PyQt6.QtCore import QEasingCurve, QPoint, Qt, QTimer, QVariantAnimation, pyqtSignal
from PyQt6.QtGui import QResizeEvent, QWheelEvent
from PyQt6.QtWidgets import QAbstractItemView, QFrame, QListView, QWidget

from mensajeria.desktop.qt import application, present
from mensajeria.desktop.widgets.message_delegate import MessageDelegate
from mensajeria.desktop.widgets.scrollbar import OverlayScrollBar

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.timeline import Decor, TimelineModel
    from mensajeria.desktop.viewmodels.types import MessageRow

TOP_MARGIN = 12
DATE_REST_MS = 1000
WHEEL_MS = 160
IDLE_SLICE_S = 0.004
"""Longest stretch of layout work between two frames."""
FLASH_MS = 250
_STEP = QEasingCurve.Type.InExpo
WHEEL_STEP = 110
"""Pixels for one notch of a wheel (120 units)."""


class TimelineScroll(QListView):
    """A list over a sliding window of rows: places, pages, scrolling. Keeps the end in view when it is there.

    Else the first visible row stays where it stands.
    """

    seen = pyqtSignal(object)
    """Position of the last row on screen, after it came to rest."""
    distance_changed = pyqtSignal(int)
    """Pixels between the lower edge and the end of the window."""
    moved = pyqtSignal()
    """The rows stand elsewhere under the pointer."""

    _settling = True
    """A layout is under way (or the view is not built yet): scrolling is not the person's."""

    def __init__(self, ui: UiContext, model: TimelineModel) -> None:
        super().__init__()
        self._ui, self._timeline = ui, model
        self._at_end = True
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
        self.moved.emit()
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

    def _viewport(self) -> QWidget:
        return present(self.viewport())
