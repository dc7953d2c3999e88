"""Paints the rows of the chat list."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from PyQt6.QtCore import QModelIndex, QPointF, QRectF, QSize, Qt
from PyQt6.QtGui import QPainter, QPen
from PyQt6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from mensajeria.desktop.theme import fonts, icons
from mensajeria.desktop.viewmodels.types import MessageState
from mensajeria.desktop.widgets import avatar, ticks
from mensajeria.desktop.widgets.markup import one_line
from mensajeria.desktop.widgets.text_block import elide

if TYPE_CHECKING:
    from PyQt6.QtGui import QColor

    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.theme.fonts import Role
    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.viewmodels.types import ChatRow

ROW_HEIGHT = 68
MAX_BADGE = 999
_LEFT, _RIGHT = 70.0, 12.0


class Piece(NamedTuple):
    """A stretch of the second line."""

    text: str
    role: Role
    token: str


class ChatDelegate(QStyledItemDelegate):
    """Rows of 68 px: avatar, name, time, one line of preview, badge.

    The open chat of ``session`` is shown as selected.
    """

    def __init__(self, ui: UiContext, session: SessionModel, parent: QWidget) -> None:
        super().__init__(parent)
        self._ui, self._session = ui, session

    def sizeHint(self, _option: QStyleOptionViewItem, _index: QModelIndex) -> QSize:
        """All rows are equal."""
        return QSize(120, ROW_HEIGHT)

    def paint(self, painter: QPainter | None, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        """Paint one row."""
        if painter is None:
            return
        row = self._session.chats.visible[index.row()]
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(option.rect).adjusted(8, 1, -8, -1)
        ground = self._ground(painter, row, box, option.state)
        picture = QRectF(box.x() + 10, box.y() + 9, 48, 48)
        avatar.draw(painter, self._ui, picture, row.title, row.hue, who=row.face, note=row.note_to_self)
        if row.online:
            avatar.draw_presence(painter, self._ui.theme, picture, ground)
        self._first_line(painter, row, box)
        self._second_line(painter, row, box)
        painter.restore()

    def _ground(self, painter: QPainter, row: ChatRow, box: QRectF, state: QStyle.StateFlag) -> QColor:
        theme = self._ui.theme
        ground = "bg_window"
        if row.chat_id == self._session.current:
            ground = "accent_soft"
        elif state & QStyle.StateFlag.State_MouseOver:
            ground = "hover"
        if ground != "bg_window":
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme[ground])
            painter.drawRoundedRect(box, 12, 12)
        if state & QStyle.StateFlag.State_HasFocus and state & QStyle.StateFlag.State_KeyboardFocusChange:
            painter.setPen(QPen(theme["focus"], 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(box.adjusted(2, 2, -2, -2), 10, 10)
        return theme[ground]

    def _first_line(self, painter: QPainter, row: ChatRow, box: QRectF) -> None:
        theme = self._ui.theme
        base = box.y() + 26.5
        right = box.right() - _RIGHT
        when = self._ui.wording.short_date(row.time_ms) if row.time_ms else ""
        painter.setFont(fonts.tabular(fonts.CAPTION))
        painter.setPen(theme["accent_text" if row.unread else "text2"])
        width = fonts.tabular_metrics(fonts.CAPTION).horizontalAdvance(when)
        painter.drawText(QPointF(right - width, base), when)
        right -= width
        if row.last_state is not MessageState.NONE and not row.draft:
            right -= 6 + ticks.WIDTH
            ticks.draw(painter, theme, QPointF(right, base - 10.5), row.last_state, theme["text2"])
        signs = self._signs(row)
        room = right - 10 - (box.x() + _LEFT) - 20 * len(signs)
        name = elide(row.title, fonts.BODY_STRONG, room)
        painter.setFont(fonts.font(fonts.BODY_STRONG))
        painter.setPen(theme["text"])
        painter.drawText(QPointF(box.x() + _LEFT, base), name)
        left = box.x() + _LEFT + fonts.metrics(fonts.BODY_STRONG).horizontalAdvance(name) + 6
        for icon, ink in signs:
            icons.draw(painter, icon, QRectF(left, base - 12, 14, 14), theme[ink])
            left += 20

    def _signs(self, row: ChatRow) -> list[tuple[str, str]]:
        """Icons behind the name, each with its colour."""
        signs = [("shield-check-fill", "accent_text")] if row.verified else []
        if self._ui.wording.is_muted(row):
            signs.append(("bell-slash", "text2"))
        if row.blocked:
            signs.append(("prohibit-bold", "danger"))
        return signs

    def _second_line(self, painter: QPainter, row: ChatRow, box: QRectF) -> None:
        base, left = box.y() + 48, box.x() + _LEFT
        right = box.right() - _RIGHT
        if row.unread:
            right -= self._badge(painter, row, right, base) + 8
        for piece in self._pieces(row):
            text = elide(piece.text, piece.role, right - left)
            painter.setFont(fonts.font(piece.role))
            painter.setPen(self._ui.theme[piece.token])
            painter.drawText(QPointF(left, base), text)
            left += fonts.metrics(piece.role).horizontalAdvance(text)
            if text != piece.text:
                break

    def _badge(self, painter: QPainter, row: ChatRow, right: float, base: float) -> float:
        text = str(row.unread) if row.unread <= MAX_BADGE else f"{MAX_BADGE}+"
        width = max(21.0, fonts.tabular_metrics(fonts.MICRO_STRONG).horizontalAdvance(text) + 12)
        pill = QRectF(right - width, base - 15, width, 21)
        painter.setPen(Qt.PenStyle.NoPen)
        muted = "_muted" if self._ui.wording.is_muted(row) else ""
        painter.setBrush(self._ui.theme[f"badge{muted}"])
        painter.drawRoundedRect(pill, 10.5, 10.5)
        painter.setPen(self._ui.theme[f"on_badge{muted}"])
        painter.setFont(fonts.tabular(fonts.MICRO_STRONG))
        painter.drawText(pill, Qt.AlignmentFlag.AlignCenter, text)
        return width

    def _pieces(self, row: ChatRow) -> list[Piece]:
        say = self._ui.say
        if row.typing:
            words = say("chat.is_typing", name=row.typist) if row.typist else say("chat.typing")
            return [Piece(words, fonts.PREVIEW_MEDIUM, "accent_text")]
        if row.draft and row.chat_id != self._session.current:
            return [
                Piece(f"{say('chat.draft')} ", fonts.PREVIEW_MEDIUM, "danger"),
                Piece(one_line(row.draft), fonts.PREVIEW, "text2"),
            ]
        if row.request:
            return [Piece(say("chat.request_short"), fonts.PREVIEW_MEDIUM, "accent_text")]
        preview = one_line(self._ui.wording.preview(row))
        if row.preview_outgoing:
            return [
                Piece(f"{say('timeline.you')}: ", fonts.PREVIEW, "text"),
                Piece(preview, fonts.PREVIEW, "text2"),
            ]
        if row.author and row.preview_kind is None:
            return [Piece(f"{row.author}: ", fonts.PREVIEW, "text"), Piece(preview, fonts.PREVIEW, "text2")]
        return [Piece(preview, fonts.PREVIEW, "text2")]
