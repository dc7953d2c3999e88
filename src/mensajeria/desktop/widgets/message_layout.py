"""Geometry of one timeline row, computed once and only read by sizeHint, paint and hit tests.

Coordinates: px from the row's top left.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from PyQt6.QtCore import QPointF, QRectF, Qt
from PyQt6.QtGui import QPainterPath, QStaticText, QTransform

from mensajeria.desktop.theme import fonts
from mensajeria.desktop.viewmodels.types import MessageState, ServiceKind
from mensajeria.desktop.widgets import markup, ticks
from mensajeria.desktop.widgets.text_block import Inks, TextBlock

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.timeline import Decor
    from mensajeria.desktop.viewmodels.types import MessageRow

COLUMN_MAX, SIDE = 860.0, 20.0
BUBBLE_MAX, BUBBLE_MARGIN = 500.0, 100.0
PAD_X, PAD_Y = 12.0, 7.0
RADIUS, SMALL_RADIUS = 16.0, 5.0
GAP_INSIDE, GAP_BETWEEN = 2.0, 10.0
DATE_HEIGHT, DIVIDER_HEIGHT = 26.0, 28.0
META_GAP, META_LINE = 12.0, 15.0
NOTICE_MAX, NOTICE_ICON = 460.0, 16.0
EMOJI_SIZE, EMOJI_LINE, EMOJI_META = 40, 46.0, 20.0
FAILED_LINE = 22.0


class Column(NamedTuple):
    """Left and right edge of the content column."""

    left: float
    right: float


def column(width: float) -> Column:
    """The content column in a view ``width`` px wide: at most 860, centred, 20 px from the edges."""
    content = min(width - 2 * SIDE, COLUMN_MAX)
    left = max(SIDE, (width - content) / 2)
    return Column(left, left + content)


class MessageLayout:
    """Everything that is needed to paint one row. ``height`` is the row's height without the slack of the first row."""

    def __init__(self, ui: UiContext, row: MessageRow, decor: Decor, width: int) -> None:
        self.row, self.decor = row, decor
        self.column = column(width)
        self.date_text, self.divider_text = "", ""
        self.date_box = self.divider_box = self.retry_box = self.meta_pill = QRectF()
        self.bubble: QPainterPath | None = None
        self.bubble_box = self.icon_box = QRectF()
        self.text_at, self.meta_at = QPointF(), QPointF()
        self.text: TextBlock | None = None
        self.emoji = ""
        self.failed_text = self.discard_text = ""
        self.discard_box = QRectF()
        self.meta = ui.wording.clock(row.time_ms)
        if row.edited:
            self.meta = f"{ui.say('timeline.edited')}  {self.meta}"
        if row.clock_off:
            self.meta = f"{ui.say('timeline.clock_off_short')}  {self.meta}"
        self.meta_text, self._meta_text_width = shaped(self.meta)
        top = self._above(ui)
        if row.service is not None:
            bottom = self._notice(ui, top)
        elif row.unreadable is None and markup.emoji_only(row.text):
            bottom = self._emoji(row, top)
        else:
            bottom = self._bubble(ui, top)
        if row.state is MessageState.FAILED:
            bottom = self._failed(ui, bottom)
        self.height = ceil(bottom + (GAP_BETWEEN if decor.last else GAP_INSIDE))

    def _above(self, ui: UiContext) -> float:
        """Date pill and new-messages line, both of which belong to the row under them."""
        top = 0.0
        if self.decor.day is not None:
            self.date_text = ui.wording.long_date(self.decor.day)
            self.date_box = centred(self.date_text, fonts.CAPTION_STRONG, self.column, top + 2, DATE_HEIGHT, 12)
            top = self.date_box.bottom() + GAP_BETWEEN
        if self.decor.divider:
            self.divider_text = ui.say("timeline.new", count=self.decor.divider)
            box = centred(self.divider_text, fonts.LABEL, self.column, top + 1, DIVIDER_HEIGHT, 14)
            self.divider_box = box.adjusted(-10, 0, 10, 0)
            top = box.bottom() + GAP_BETWEEN + 1
        return top

    def _notice(self, ui: UiContext, top: float) -> float:
        """A centred pill: nobody wrote it."""
        theme = ui.theme
        ink = theme["text"] if self.is_warning else theme["text2"]
        room = min(NOTICE_MAX, self.column.right - self.column.left) - 2 * PAD_X - NOTICE_ICON - 8
        words = markup.Marked(ui.wording.service(self.row), ())
        self.text = TextBlock(words, fonts.CAPTION_MEDIUM, room, Inks(ink, ink, ink))
        width = self.text.widest + 2 * PAD_X + NOTICE_ICON + 8
        height = self.text.height + 14
        left = (self.column.left + self.column.right - width) / 2
        self.bubble_box = QRectF(left, top, width, height)
        self.icon_box = QRectF(left + PAD_X, top + (height - NOTICE_ICON) / 2, NOTICE_ICON, NOTICE_ICON)
        self.text_at = QPointF(self.icon_box.right() + 8, top + 7)
        return self.bubble_box.bottom()

    def _emoji(self, row: MessageRow, top: float) -> float:
        """One to three emoji: large, without a bubble, the time in a pill under them."""
        self.emoji = markup.clean(row.text.strip())
        width = ceil(fonts.emoji_width(self.emoji, EMOJI_SIZE)) + 2
        left = self.column.right - width if row.outgoing else self.column.left
        self.bubble_box = QRectF(left, top, width, EMOJI_LINE)
        pill = 14 + self._meta_width()
        pill_left = self.column.right - pill if row.outgoing else max(left + 4, left + width - pill)
        self.meta_pill = QRectF(pill_left, top + EMOJI_LINE, pill, EMOJI_META)
        self.meta_at = QPointF(pill_left + 7, self.meta_pill.bottom() - 6)
        return self.meta_pill.bottom()

    def _bubble(self, ui: UiContext, top: float) -> float:
        row, theme = self.row, ui.theme
        side = "out" if row.outgoing else "in"
        role = fonts.message_role(ui.text_size)
        room = min(BUBBLE_MAX, self.column.right - self.column.left - min(BUBBLE_MARGIN, 60)) - 2 * PAD_X
        if row.unreadable is None:
            inks = Inks(theme["text"], theme[f"link_{side}"], theme[f"quote_{side}"])
            self.text = TextBlock(markup.parse(row.text), role, room, inks)
            indent = 0.0
        else:
            ink = theme[f"bubble_{side}_text2"]
            indent = 24.0
            self.text = TextBlock(markup.Marked(ui.wording.body(row), ()), role, room - indent, Inks(ink, ink, ink))
        meta = self._meta_width()
        inline = indent + self.text.last_width + META_GAP + meta
        content = max(indent + self.text.widest, inline if inline <= room else meta)
        extra = 0.0 if inline <= room else META_LINE
        width, height = content + 2 * PAD_X, self.text.height + extra + 2 * PAD_Y
        left = self.column.right - width if row.outgoing else self.column.left
        self.bubble_box = QRectF(left, top, width, height)
        self.bubble = bubble_path(self.bubble_box, outgoing=row.outgoing, first=self.decor.first)
        self.icon_box = QRectF(left + PAD_X, top + PAD_Y + (role.line - 17) / 2, 17, 17) if indent else QRectF()
        self.text_at = QPointF(left + PAD_X + indent, top + PAD_Y)
        self.meta_at = QPointF(self.bubble_box.right() - PAD_X - meta, self.bubble_box.bottom() - PAD_Y)
        return self.bubble_box.bottom()

    def _failed(self, ui: UiContext, top: float) -> float:
        """The line under a message that was not sent: what can be done about it."""
        self.failed_text = ui.say("timeline.failed")
        self.discard_text = ui.say("action.discard")
        retry = ui.say("action.retry")
        width = fonts.metrics(fonts.CAPTION_STRONG).horizontalAdvance
        right = self.column.right
        self.discard_box = QRectF(right - width(self.discard_text), top + 3, width(self.discard_text), FAILED_LINE - 2)
        left = self.discard_box.left() - width(" · ") - width(retry)
        self.retry_box = QRectF(left, top + 3, width(retry), FAILED_LINE - 2)
        self.failed_text = f"{self.failed_text} · "
        return top + FAILED_LINE

    def _meta_width(self) -> float:
        tick = ticks.WIDTH + 4 if self.row.outgoing else 0.0
        return self._meta_text_width + tick

    @property
    def is_warning(self) -> bool:
        """Whether a service row must stand out."""
        return self.row.service is not None and self.row.service not in _QUIET

    def link_at(self, point: QPointF) -> str:
        """Address under ``point``, or empty."""
        return self.text.link_at(point - self.text_at) if self.text is not None and self.bubble is not None else ""


_QUIET = {
    ServiceKind.ENCRYPTED,
    ServiceKind.GROUP_CREATED,
    ServiceKind.MEMBER_ADDED,
    ServiceKind.MEMBER_REMOVED,
    ServiceKind.MEMBER_LEFT,
    ServiceKind.ROLE_CHANGED,
    ServiceKind.GROUP_RENAMED,
    ServiceKind.TIMER_CHANGED,
    ServiceKind.GROUP_SUPERSEDED,
}
"""Notices that are no reason to worry."""


@lru_cache(maxsize=2048)
def shaped(meta: str) -> tuple[QStaticText, int]:
    """A time, shaped once and shared (there are only so many in a day), and its width, px.

    Drawing a string anew costs more than a whole bubble.
    """
    text = QStaticText(meta)
    text.setTextFormat(Qt.TextFormat.PlainText)
    text.prepare(QTransform(), fonts.tabular(fonts.MICRO))
    return text, ceil(fonts.tabular_metrics(fonts.MICRO).horizontalAdvance(meta))


def centred(text: str, role: fonts.Role, inside: Column, top: float, height: float, pad: float) -> QRectF:
    """A pill around ``text`` in the middle of the column."""
    width = fonts.metrics(role).horizontalAdvance(text) + 2 * pad
    return QRectF((inside.left + inside.right - width) / 2, top, width, height)


def bubble_path(box: QRectF, *, outgoing: bool, first: bool) -> QPainterPath:
    """A rounded box whose corners on the sender's side say where the bubble stands in its group."""
    upper = RADIUS if first else SMALL_RADIUS
    if outgoing:
        return rounded(box, RADIUS, upper, SMALL_RADIUS, RADIUS)
    return rounded(box, upper, RADIUS, RADIUS, SMALL_RADIUS)


def rounded(box: QRectF, top_left: float, top_right: float, bottom_right: float, bottom_left: float) -> QPainterPath:
    """A box with a radius for each corner."""
    path = QPainterPath()
    limit = box.height() / 2
    tl, tr, br, bl = (min(radius, limit) for radius in (top_left, top_right, bottom_right, bottom_left))
    path.moveTo(box.left() + tl, box.top())
    path.lineTo(box.right() - tr, box.top())
    path.arcTo(box.right() - 2 * tr, box.top(), 2 * tr, 2 * tr, 90, -90)
    path.lineTo(box.right(), box.bottom() - br)
    path.arcTo(box.right() - 2 * br, box.bottom() - 2 * br, 2 * br, 2 * br, 0, -90)
    path.lineTo(box.left() + bl, box.bottom())
    path.arcTo(box.left(), box.bottom() - 2 * bl, 2 * bl, 2 * bl, 270, -90)
    path.lineTo(box.left(), box.top() + tl)
    path.arcTo(box.left(), box.top(), 2 * tl, 2 * tl, 180, -90)
    path.closeSubpath()
    return path
