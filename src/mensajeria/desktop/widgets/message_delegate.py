"""Paints timeline rows out of cached layouts."""

from __future__ import annotations

from collections import OrderedDict
from functools import lru_cache
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from PyQt6.QtCore import QModelIndex, QPointF, QRectF, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QColor, QPainter, QPen, QPixmap
from PyQt6.QtWidgets import QStyledItemDelegate, QStyleOptionViewItem, QWidget

from mensajeria.desktop.theme import fonts, icons
from mensajeria.desktop.viewmodels.types import MessageState, ServiceKind, Unreadable
from mensajeria.desktop.widgets import avatar, ticks
from mensajeria.desktop.widgets.file_block import paint_overlay_pill
from mensajeria.desktop.widgets.message_layout import EMOJI_LINE, EMOJI_SIZE, TIMER_ICON, MessageLayout
from mensajeria.desktop.widgets.pictures import Pictures
from mensajeria.desktop.widgets.text_block import Marks

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.parts import TransferRow
    from mensajeria.desktop.viewmodels.timeline import Decor, TimelineModel
    from mensajeria.desktop.viewmodels.types import MessageRow

CACHE_ROWS = 600
_CENTRE = Qt.AlignmentFlag.AlignCenter
_SERVICE_ICONS = {
    ServiceKind.ENCRYPTED: "lock-key-fill",
    ServiceKind.IDENTITY_CHANGED: "shield-warning-fill",
    ServiceKind.IDENTITY_RENEWED: "shield-check-fill",
    ServiceKind.NEW_DEVICE: "laptop-fill",
    ServiceKind.MESSAGES_MISSING: "warning-fill",
    ServiceKind.REMOVED_BY_SERVER: "warning-fill",
    ServiceKind.TAMPERED: "shield-warning-fill",
    ServiceKind.GROUP_CREATED: "users-three-fill",
    ServiceKind.MEMBER_ADDED: "user-plus-fill",
    ServiceKind.MEMBER_REMOVED: "prohibit-fill",
    ServiceKind.MEMBER_LEFT: "sign-out-fill",
    ServiceKind.HISTORY_SHARED: "clock-fill",
    ServiceKind.ROLE_CHANGED: "identification-card-fill",
    ServiceKind.GROUP_RENAMED: "pencil-simple-fill",
    ServiceKind.TIMER_CHANGED: "hourglass-fill",
    ServiceKind.GROUP_SUPERSEDED: "arrow-bend-up-right-fill",
    ServiceKind.GROUP_FORKED: "shield-warning-fill",
    ServiceKind.MEMBER_SKIPPED: "warning-fill",
    ServiceKind.ACCOUNT_GONE: "prohibit-fill",
}


_UNREADABLE_ICONS: dict[Unreadable | None, str] = {
    Unreadable.DELETED: "prohibit",
    Unreadable.UNKNOWN: "question-fill",
}


class Moving(NamedTuple):
    """What is painted as it is at the moment, without a new layout."""

    transfer: TransferRow | None = None
    picture: QPixmap | None = None
    marks: Marks | None = None


NOTHING_MOVES = Moving()


class MessageDelegate(QStyledItemDelegate):
    """One ``MessageLayout`` per row, width and text size; at most ``CACHE_ROWS`` are kept, the least used go first."""

    layout_begins = pyqtSignal()

    def __init__(self, ui: UiContext, model: TimelineModel, parent: QWidget) -> None:
        super().__init__(parent)
        self._ui, self._model = ui, model
        self._cache: OrderedDict[str, MessageLayout] = OrderedDict()
        self._width = 0
        self.slack = 0.0
        """Empty room above the first row, so that short chats stand at the bottom."""
        self.focused_row = -1
        """Row that has the keyboard, -1 for none."""
        self.pictures = Pictures(self)
        self.sought: tuple[str, ...] = ()
        """Folded words that are marked in the texts."""
        self.found: int | None = None
        """Position of the message that a search stands at: its marks are stronger."""
        self.flashing, self.flash = "", 0.0
        """Key of the row that was jumped to, and how bright it still is, 0 to 1."""

    def set_width(self, width: int) -> None:
        """Lay out for another width of the view."""
        if width != self._width:
            self._width = width
            self.forget()

    def forget(self) -> None:
        """Theme, language or text size changed: lay out everything again."""
        self._cache.clear()

    def layout(self, place: int) -> MessageLayout:
        """The layout of a row, made if it must be."""
        row, decor = self._model.rows[place], self._model.decor[place]
        found = self._cache.get(row.key)
        if found is None or found.row is not row or found.decor != decor:
            found = MessageLayout(self._ui, row, decor, self._width)
            self._cache[row.key] = found
            self._shrink()
        else:
            self._cache.move_to_end(row.key)
        return found

    def prepare(self, row: MessageRow, decor: Decor) -> None:
        """Lay out a row that will come in soon."""
        found = self._cache.get(row.key)
        if found is None or found.row is not row or found.decor != decor:
            self._cache[row.key] = MessageLayout(self._ui, row, decor, self._width)
            self._shrink()

    def _shrink(self) -> None:
        while len(self._cache) > CACHE_ROWS:
            self._cache.popitem(last=False)

    def height(self, place: int) -> int:
        """Height of a row, slack included."""
        return self.layout(place).height + (round(self.slack) if place == 0 else 0)

    def sizeHint(self, _option: QStyleOptionViewItem, index: QModelIndex) -> QSize:
        """The cached height; the width is the view's. A layout begins by asking for the first row."""
        if index.row() == 0:
            self.layout_begins.emit()
        return QSize(max(1, self._width - 1), self.height(index.row()))

    def paint(self, painter: QPainter | None, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        """Paint one row at its place."""
        if painter is None:
            return
        place = index.row()
        layout = self.layout(place)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        top = option.rect.top() + (round(self.slack) if place == 0 else 0)
        painter.translate(option.rect.left(), top)
        self._paint_above(painter, layout)
        if layout.row.service is not None:
            self._paint_notice(painter, layout)
        else:
            self._paint_flash(painter, layout)
            paint_message(painter, self._ui, layout, self._moving(painter, layout))
        if place == self.focused_row:
            painter.setPen(QPen(self._ui.theme["focus"], 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(layout.bubble_box.adjusted(-3, -3, 3, 3), 18, 18)
        painter.restore()

    def _moving(self, painter: QPainter, layout: MessageLayout) -> Moving:
        """What of a row changes without a new layout."""
        row, marks = layout.row, self._marks(layout)
        if row.file is None:
            return NOTHING_MOVES if marks is None else Moving(marks=marks)
        picture, block = None, layout.picture
        if block is not None:
            picture = self.pictures.get(row.mid, row.file, block.width, block.height, ratio_of(painter))
        return Moving(self._model.transfers.get(row.mid), picture, marks)

    def _marks(self, layout: MessageLayout) -> Marks | None:
        """What was searched for, where a person wrote it."""
        if not self.sought or layout.row.unreadable is not None:
            return None
        at = layout.row.position == self.found
        theme = self._ui.theme
        return Marks(self.sought, theme["found_now" if at else "found"], theme["on_found_now" if at else "text"])

    def _paint_flash(self, painter: QPainter, layout: MessageLayout) -> None:
        if self.flash <= 0 or layout.row.key != self.flashing:
            return
        colour = QColor(self._ui.theme["accent"])
        colour.setAlphaF(0.28 * self.flash)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        box = layout.bubble_box
        wide = QRectF(layout.column.left - 8, box.top() - 3, layout.column.right - layout.column.left + 16, 6)
        wide.setBottom(box.bottom() + 3)
        painter.drawRoundedRect(wide, 12, 12)

    def _paint_above(self, painter: QPainter, layout: MessageLayout) -> None:
        theme = self._ui.theme
        if layout.date_text:
            paint_date(painter, self._ui, layout.date_box, layout.date_text)
        if layout.divider_text:
            line = QColor(theme["accent"])
            line.setAlphaF(0.45)
            painter.setPen(QPen(line, 1))
            box, middle = layout.divider_box, layout.divider_box.center().y() + 0.5
            painter.drawLine(QPointF(layout.column.left, middle), QPointF(box.left() - 8, middle))
            painter.drawLine(QPointF(box.right() + 8, middle), QPointF(layout.column.right, middle))
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme["accent"])
            painter.drawRoundedRect(box, 14, 14)
            painter.setPen(theme["on_accent"])
            painter.setFont(fonts.font(fonts.LABEL))
            painter.drawText(box.adjusted(14, 0, -30, 0), Qt.AlignmentFlag.AlignVCenter, layout.divider_text)
            caret = QRectF(box.right() - 28, box.y() + 7, 14, 14)
            icons.draw(painter, "caret-down-bold", caret, theme["on_accent"])

    def _paint_notice(self, painter: QPainter, layout: MessageLayout) -> None:
        theme, kind = self._ui.theme, layout.row.service or ServiceKind.TAMPERED
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme["warning_soft" if layout.is_warning else "surface_raised"])
        radius = min(layout.bubble_box.height() / 2, 15.0)
        painter.drawRoundedRect(layout.bubble_box, radius, radius)
        icons.draw(painter, _SERVICE_ICONS[kind], layout.icon_box, theme["warning" if layout.is_warning else "text2"])
        if layout.text is not None:
            layout.text.draw(painter, layout.text_at)


def paint_date(painter: QPainter, ui: UiContext, box: QRectF, text: str) -> None:
    """The pill with a day's name."""
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(ui.theme["surface_raised"])
    painter.drawRoundedRect(box, 13, 13)
    painter.setPen(ui.theme["text2"])
    painter.setFont(fonts.font(fonts.CAPTION_STRONG))
    painter.drawText(box, _CENTRE, text)


def paint_message(painter: QPainter, ui: UiContext, layout: MessageLayout, moving: Moving = NOTHING_MOVES) -> None:
    """A bubble with all that is in it, or large emoji, at the painter's origin."""
    theme, row = ui.theme, layout.row
    ink = theme[f"bubble_{layout.side}_text2"]
    if layout.bubble is not None:
        if not theme.dark:
            painter.fillPath(layout.bubble.translated(0, 1), theme.mixed("shadow", "bg_chat", 0.10))
        painter.fillPath(layout.bubble, theme[f"bubble_{layout.side}"])
        _paint_parts(painter, ui, layout, moving)
        if not layout.icon_box.isNull():
            icons.draw(painter, _UNREADABLE_ICONS.get(row.unreadable, "lock-key-fill"), layout.icon_box, ink)
        if layout.text is not None:
            layout.text.draw(painter, layout.text_at, moving.marks)
        if layout.meta_on_picture:
            ink = theme["on_overlay"]
            paint_overlay_pill(painter, ui, layout.meta_pill)
    else:
        ink = theme["text2"]
        painter.drawPixmap(layout.bubble_box.topLeft(), _large_emoji(layout.emoji, ratio_of(painter)))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme["surface_raised"])
        painter.drawRoundedRect(layout.meta_pill, 10, 10)
    _paint_meta(painter, ui, layout, ink)
    if layout.reactions is not None:
        layout.reactions.paint(painter, ui)


def _paint_parts(painter: QPainter, ui: UiContext, layout: MessageLayout, moving: Moving) -> None:
    """Sender, answered message, file."""
    if layout.name is not None:
        painter.setPen(ui.theme[f"hue{layout.row.sender.hue % avatar.HUES}_name"])
        painter.setFont(fonts.font(fonts.LABEL))
        painter.drawStaticText(layout.name_at, layout.name)
        if not layout.shield_box.isNull():
            icons.draw(painter, "shield-check-fill", layout.shield_box, ui.theme["accent_text"])
    if not layout.avatar_box.isNull():
        person = layout.row.sender
        avatar.draw(painter, ui, layout.avatar_box, person.shown_name, person.hue, who=person.uid)
    if layout.quote is not None:
        layout.quote.paint(painter, ui, layout.side)
    if layout.card is not None:
        layout.card.paint(painter, ui, layout.side, moving.transfer)
    if layout.picture is not None:
        layout.picture.paint(painter, ui, moving.picture, moving.transfer)


def ratio_of(painter: QPainter) -> float:
    """Device pixels for each px of what is painted on."""
    device = painter.device()
    return device.devicePixelRatioF() if device is not None else 1.0


def _paint_meta(painter: QPainter, ui: UiContext, layout: MessageLayout, ink: QColor) -> None:
    row, theme = layout.row, ui.theme
    painter.setPen(ink)
    painter.setFont(fonts.tabular(fonts.MICRO))
    at = layout.meta_at - QPointF(0, fonts.tabular_metrics(fonts.MICRO).ascent())
    if row.expire_s:
        clock = QRectF(at.x(), layout.meta_at.y() - 10, TIMER_ICON, TIMER_ICON)
        icons.draw(painter, "hourglass-fill", clock, ink)
        at += QPointF(TIMER_ICON + 3, 0)
    painter.drawStaticText(at, layout.meta_text)
    if row.outgoing:
        pill = layout.bubble is None or layout.meta_on_picture
        right = layout.meta_pill.right() - 7 if pill else layout.bubble_box.right() - 12
        at = QPointF(right - ticks.WIDTH, layout.meta_at.y() - 10)
        ticks.draw(painter, theme, at, row.state, ink, plain=layout.meta_on_picture)
    if row.state is MessageState.FAILED:
        _paint_failed(painter, ui, layout)


def _paint_failed(painter: QPainter, ui: UiContext, layout: MessageLayout) -> None:
    painter.setPen(ui.theme["danger"])
    painter.setFont(fonts.font(fonts.CAPTION_STRONG))
    left = QRectF(0, layout.retry_box.y(), layout.retry_box.x(), layout.retry_box.height())
    painter.drawText(left, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, layout.failed_text)
    between = QRectF(layout.retry_box.topRight(), layout.discard_box.bottomLeft())
    painter.drawText(layout.retry_box, _CENTRE, ui.say("action.retry"))
    painter.drawText(between, _CENTRE, "·")
    painter.drawText(layout.discard_box, _CENTRE, layout.discard_text)


@lru_cache(maxsize=96)
def _large_emoji(text: str, ratio: float) -> QPixmap:
    """Large emoji as a picture.

    They are too big for Qt's glyph cache, and scaling them takes half a millisecond each.
    """
    width = ceil(fonts.emoji_width(text, EMOJI_SIZE)) + 2
    made = QPixmap(ceil(width * ratio), ceil(EMOJI_LINE * ratio))
    made.setDevicePixelRatio(ratio)
    made.fill(Qt.GlobalColor.transparent)
    painter = QPainter(made)
    painter.setFont(fonts.emoji(EMOJI_SIZE))
    painter.drawText(QRectF(0, 0, width, EMOJI_LINE), Qt.AlignmentFlag.AlignVCenter, text)
    painter.end()
    return made
