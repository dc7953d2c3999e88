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
from mensajeria.desktop.widgets import markup, quote_block, reaction_pills, ticks
from mensajeria.desktop.widgets.file_block import FileCard, PictureBlock
from mensajeria.desktop.widgets.quote_block import QuoteBlock, static
from mensajeria.desktop.widgets.reaction_pills import ReactionPills
from mensajeria.desktop.widgets.text_block import Inks, TextBlock, elide

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
AVATAR, SHIELD = 34.0, 14.0
PICTURE_INSET, CAPTION_MIN = 4.0, 180.0
TIMER_ICON = 11.0


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
        self._indent, self._meta_below = 0.0, False
        self.emoji = ""
        self.failed_text = self.discard_text = ""
        self.discard_box = QRectF()
        self.meta = ui.wording.clock(row.time_ms)
        if row.edited:
            self.meta = f"{ui.say('timeline.edited')}  {self.meta}"
        if row.clock_off:
            self.meta = f"{ui.say('timeline.clock_off_short')}  {self.meta}"
        self.meta_text, self._meta_text_width = shaped(self.meta)
        self.quote: QuoteBlock | None = None
        self.card: FileCard | None = None
        self.picture: PictureBlock | None = None
        self.reactions: ReactionPills | None = None
        self.name: QStaticText | None = None
        self.name_at, self.avatar_box, self.shield_box = QPointF(), QRectF(), QRectF()
        top = self._above(ui)
        if row.service is not None:
            bottom = self._notice(ui, top)
        elif self._is_large_emoji():
            bottom = self._emoji(row, top)
        else:
            bottom = self._bubble(ui, top)
        if row.reactions:
            bottom = self._reactions(row, bottom)
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
        left = self.column.right - width if row.outgoing else self._left()
        self.bubble_box = QRectF(left, top, width, EMOJI_LINE)
        pill = 14 + self._meta_width()
        pill_left = self.column.right - pill if row.outgoing else max(left + 4, left + width - pill)
        self.meta_pill = QRectF(pill_left, top + EMOJI_LINE, pill, EMOJI_META)
        self.meta_at = QPointF(pill_left + 7, self.meta_pill.bottom() - 6)
        return self.meta_pill.bottom()

    def _is_large_emoji(self) -> bool:
        row = self.row
        plain = row.unreadable is None and row.quote is None and row.file is None
        return plain and markup.emoji_only(row.text)

    def _bubble(self, ui: UiContext, top: float) -> float:
        """Sender, answered message, file, text, from the top down; the widest decides the width."""
        row = self.row
        room = min(BUBBLE_MAX, self.column.right - self._left() - min(BUBBLE_MARGIN, 60)) - 2 * PAD_X
        meta = self._meta_width()
        content = max(self._measure(ui, room, meta), 24.0)
        self.bubble_box = QRectF(0, top, content + 2 * PAD_X, 0)
        left = self.column.right - self.bubble_box.width() if row.outgoing else self._left()
        self.bubble_box.moveLeft(left)
        bottom = self._stack(ui, left, top, content, meta)
        self.bubble_box.setBottom(bottom)
        self.bubble = bubble_path(self.bubble_box, outgoing=row.outgoing, first=self.decor.first)
        if self.decor.group and not row.outgoing and self.decor.last:
            self.avatar_box = QRectF(self.column.left, bottom - AVATAR, AVATAR, AVATAR)
        return bottom

    def _left(self) -> float:
        """Left edge of bubbles: in a group, other people's make room for the avatar."""
        indented = self.decor.group and not self.row.outgoing
        return self.column.left + (AVATAR + 8 if indented else 0.0)

    def _measure(self, ui: UiContext, room: float, meta: float) -> float:
        """Make the parts; the width that the widest of them wants, px."""
        row, wanted = self.row, 0.0
        if self.decor.group and self.decor.first and not row.outgoing:
            name = elide(markup.one_line(row.sender.shown_name), fonts.LABEL, room - SHIELD - 6)
            self.name = static(name, fonts.LABEL)
            wanted = fonts.metrics(fonts.LABEL).horizontalAdvance(name) + (SHIELD + 6 if row.sender.verified else 0)
        if row.unreadable is not None:
            return max(wanted, self._measure_text(ui, room, meta, indent=24.0))
        if row.quote is not None:
            self.quote = QuoteBlock(ui, row.quote, room)
            wanted = max(wanted, self.quote.wanted)
        if row.file is not None and row.file.is_picture:
            self.picture = PictureBlock(row.file, room + 2 * (PAD_X - PICTURE_INSET))
            # A picture stands nearer to the edge than text does.
            wanted = max(wanted, self.picture.width - 2 * (PAD_X - PICTURE_INSET))
            room = min(room, wanted) if wanted >= CAPTION_MIN else min(room, CAPTION_MIN)
        elif row.file is not None:
            self.card = FileCard(ui, row.file, room, 0.0 if row.text else meta)
            wanted = max(wanted, self.card.wanted)
        if row.text or row.file is None:
            wanted = max(wanted, self._measure_text(ui, room, meta))
        return wanted

    def _measure_text(self, ui: UiContext, room: float, meta: float, indent: float = 0.0) -> float:
        """Lay the words out; ``indent`` leaves room for an icon before them."""
        theme, side = ui.theme, self.side
        role = fonts.message_role(ui.text_size)
        if indent:
            ink = theme[f"bubble_{side}_text2"]
            words, inks = markup.Marked(ui.wording.body(self.row), ()), Inks(ink, ink, ink)
        else:
            words = markup.parse(self.row.text)
            inks = Inks(theme["text"], theme[f"link_{side}"], theme[f"quote_{side}"])
        self.text = TextBlock(words, role, room - indent, inks)
        self._indent = indent
        inline = indent + self.text.last_width + META_GAP + meta
        self._meta_below = inline > room
        return max(indent + self.text.widest, meta if self._meta_below else inline)

    def _stack(self, ui: UiContext, left: float, top: float, content: float, meta: float) -> float:
        """Place the parts under each other; the bubble's lower edge."""
        at = top + PAD_Y
        if self.name is not None:
            self.name_at = QPointF(left + PAD_X, at - 1)
            if self.row.sender.verified:
                beside = self.name_at.x() + self.name.size().width() + 5
                self.shield_box = QRectF(beside, at + 1, SHIELD, SHIELD)
            at += 20
        if self.quote is not None:
            self.quote.place(left + PAD_X, at, content)
            at += quote_block.HEIGHT + 6
        if self.picture is not None:
            at = self._stack_picture(left, at, content)
        if self.card is not None:
            self.card.place(left + PAD_X - 2, at + 1, content + 2)
            at = self.card.box.bottom() + (6 if self.text is not None else 1)
        right = left + content + PAD_X
        if self.text is None:
            return self._stack_meta_alone(right, at, meta)
        line = fonts.message_role(ui.text_size).line
        if self._indent:
            self.icon_box = QRectF(left + PAD_X, at + (line - 17) / 2, 17, 17)
        self.text_at = QPointF(left + PAD_X + self._indent, at)
        bottom = at + self.text.height + (META_LINE if self._meta_below else 0) + PAD_Y
        self.meta_at = QPointF(right - meta, bottom - PAD_Y)
        return bottom

    def _stack_picture(self, left: float, at: float, content: float) -> float:
        picture = self.picture
        assert picture is not None
        first = self.name is None and self.quote is None
        picture.width = content + 2 * (PAD_X - PICTURE_INSET)
        picture.place(left + PICTURE_INSET, at - (PAD_Y - PICTURE_INSET if first else 0))
        return picture.box.bottom() + 6

    def _stack_meta_alone(self, right: float, at: float, meta: float) -> float:
        """Time and ticks without words: on the picture, or on the card's line of the size."""
        if self.picture is not None:
            box = self.picture.box
            self.meta_pill = QRectF(box.right() - meta - 22, box.bottom() - 28, meta + 14, 20)
            self.meta_at = QPointF(self.meta_pill.left() + 7, self.meta_pill.bottom() - 6)
            return box.bottom() + PICTURE_INSET
        bottom = at + PAD_Y
        self.meta_at = QPointF(right - meta, bottom - PAD_Y - 9)
        return bottom

    def _reactions(self, row: MessageRow, bottom: float) -> float:
        """Pills over the lower edge, from the bubble's left on, pushed into the column."""
        self.reactions = ReactionPills(row.reactions)
        alone = self.bubble is None
        left = min(self.bubble_box.left() + (0 if alone else 8), self.column.right - self.reactions.wanted)
        top = bottom + 3 if alone else bottom - reaction_pills.OVERLAP
        return self.reactions.place(max(left, self.column.left), top) + 2

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
        return self._meta_text_width + tick + (TIMER_ICON + 3 if self.row.expire_s else 0.0)

    @property
    def side(self) -> str:
        """Which bubbles' colours these are."""
        return "out" if self.row.outgoing else "in"

    @property
    def file_circle(self) -> QRectF:
        """The round button of the row's file; null without one."""
        block = self.card or self.picture
        return QRectF() if block is None else block.circle

    @property
    def file_box(self) -> QRectF:
        """Card or picture; null without a file."""
        block = self.card or self.picture
        return QRectF() if block is None else block.box

    @property
    def meta_on_picture(self) -> bool:
        """Time and ticks stand on the picture."""
        return self.picture is not None and self.text is None

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
    ServiceKind.HISTORY_SHARED,
    ServiceKind.ROLE_CHANGED,
    ServiceKind.GROUP_RENAMED,
    ServiceKind.TIMER_CHANGED,
    ServiceKind.GROUP_SUPERSEDED,
    ServiceKind.ACCOUNT_GONE,
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
