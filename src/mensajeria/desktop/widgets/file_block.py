"""A message's file in its bubble: a card with name and size, or a picture; and how far it has come.

Geometry never depends on the transfer: what moves is painted into room that was reserved for it.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import QPointF, QRectF, Qt
from PyQt6.QtGui import QColor, QPainter, QPen

from mensajeria.desktop.theme import fonts, icons
from mensajeria.desktop.viewmodels.parts import FilePhase
from mensajeria.desktop.widgets import markup
from mensajeria.desktop.widgets.quote_block import static

if TYPE_CHECKING:
    from PyQt6.QtGui import QPixmap

    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.parts import FileRow, TransferRow

CIRCLE: Final = 44.0
CARD_HEIGHT: Final = 44.0
PICTURE_MAX, PICTURE_MIN = 340.0, 120.0
_PICTURE_CIRCLE = 52.0
_NAME_MAX, _GAP = 240.0, 12.0
_TYPE_ICONS = (
    (("PDF",), "file-pdf-fill"),
    (("GPX", "KML", "KMZ"), "map-trifold-fill"),
    (("ZIP", "TAR", "GZ", "ZST", "XZ", "7Z", "RAR", "BZ2"), "archive-fill"),
    (("MP4", "MKV", "MOV", "WEBM", "AVI"), "play-fill"),
    (("MP3", "OGG", "OPUS", "WAV", "FLAC", "M4A"), "microphone-fill"),
    (("JPG", "JPEG", "PNG", "GIF", "WEBP", "SVG"), "image-fill"),
    (("TXT", "MD", "DOC", "DOCX", "ODT", "RTF"), "file-text-fill"),
)


class FileAct(Enum):
    """What pressing a file does now."""

    DOWNLOAD = auto()
    CANCEL = auto()
    OPEN = auto()
    RETRY = auto()


def act_of(file: FileRow, transfer: TransferRow | None) -> FileAct:
    """What pressing a file does in its state."""
    if file.phase is FilePhase.FAILED:
        return FileAct.RETRY
    if file.phase is FilePhase.UPLOADING or (transfer is not None and not transfer.failed):
        return FileAct.CANCEL
    return FileAct.OPEN if file.phase is FilePhase.SAVED else FileAct.DOWNLOAD


def type_icon(file: FileRow) -> str:
    """An icon for the kind of file that its name claims."""
    return next((icon for endings, icon in _TYPE_ICONS if file.extension in endings), "file-fill")


def moving_text(ui: UiContext, transfer: TransferRow) -> str:
    """How far a file has come, in words."""
    return ui.wording.progress(transfer.done, transfer.total)


class FileCard:
    """Circle, name, size. ``meta`` is the width that must stay free on the size line, 0 with a caption below."""

    def __init__(self, ui: UiContext, file: FileRow, room: float, meta: float) -> None:
        self.file = file
        metrics = fonts.metrics(fonts.BODY_MEDIUM)
        shown = min(_NAME_MAX, room - CIRCLE - _GAP)
        name = metrics.elidedText(markup.one_line(file.name), Qt.TextElideMode.ElideMiddle, shown)
        self._name, self._line = static(name, fonts.BODY_MEDIUM), ui.wording.file_line(file)
        lines = (self._line, ui.wording.progress(file.size, file.size), ui.say("message.upload_failed"))
        line = max(fonts.metrics(fonts.CAPTION).horizontalAdvance(words) for words in lines)
        text = max(metrics.horizontalAdvance(name), line + (meta + _GAP if meta else 0))
        self.wanted = min(room, CIRCLE + _GAP + text + 2)
        self.box = self.circle = QRectF()

    def place(self, left: float, top: float, width: float) -> None:
        """Where the card stands in its row."""
        self.box = QRectF(left, top, width, CARD_HEIGHT)
        self.circle = QRectF(left, top, CIRCLE, CIRCLE)

    def paint(self, painter: QPainter, ui: UiContext, side: str, transfer: TransferRow | None) -> None:
        """The card as it is now."""
        theme, act = ui.theme, act_of(self.file, transfer)
        failed = act is FileAct.RETRY or (transfer is not None and transfer.failed)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme["danger" if failed else "accent"])
        painter.drawEllipse(self.circle.adjusted(0.5, 0.5, -0.5, -0.5))
        ink = theme["bg_window" if failed else "on_accent"]
        glyph = "arrow-clockwise-bold" if failed else _glyph(act, self.file)
        icons.draw(painter, glyph, self.circle.adjusted(12, 12, -12, -12), ink)
        if act is FileAct.CANCEL:
            paint_ring(painter, self.circle.adjusted(3, 3, -3, -3), ink, transfer)
        left = self.circle.right() + _GAP
        painter.setPen(theme["text"])
        painter.setFont(fonts.font(fonts.BODY_MEDIUM))
        painter.drawStaticText(QPointF(left, self.box.top() + 3), self._name)
        painter.setPen(theme["danger" if failed else f"bubble_{side}_text2"])
        painter.setFont(fonts.font(fonts.CAPTION))
        line = QRectF(left, self.box.top() + 23, self.box.right() - left, 18)
        painter.drawText(line, Qt.AlignmentFlag.AlignVCenter, self._words(ui, act, transfer))

    def _words(self, ui: UiContext, act: FileAct, transfer: TransferRow | None) -> str:
        if act is FileAct.RETRY:
            return ui.say("message.upload_failed")
        if transfer is not None and transfer.failed:
            return ui.say("message.download_failed")
        return moving_text(ui, transfer) if transfer is not None and transfer.total else self._line


class PictureBlock:
    """A picture's place: its height is known from the message, before anything of it is here."""

    def __init__(self, file: FileRow, room: float) -> None:
        self.file = file
        limit = min(PICTURE_MAX, room)
        scale = min(limit / file.width, PICTURE_MAX / file.height, 1.0)
        self.width = min(max(file.width * scale, PICTURE_MIN), limit)
        self.height = min(max(file.height * scale, PICTURE_MIN), PICTURE_MAX)
        self.box = self.circle = QRectF()

    def place(self, left: float, top: float) -> None:
        """Where the picture stands in its row."""
        self.box = QRectF(left, top, self.width, self.height)
        middle, half = self.box.center(), _PICTURE_CIRCLE / 2
        self.circle = QRectF(middle.x() - half, middle.y() - half, _PICTURE_CIRCLE, _PICTURE_CIRCLE)

    def paint(self, painter: QPainter, ui: UiContext, picture: QPixmap | None, transfer: TransferRow | None) -> None:
        """The picture (or its ground while it is being decoded), and what can be done with it."""
        theme = ui.theme
        if picture is None:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme["surface_sunken"])
            painter.drawRoundedRect(self.box, 12, 12)
        else:
            painter.drawPixmap(self.box.topLeft(), picture)
        act = act_of(self.file, transfer)
        if act is FileAct.OPEN:
            return
        failed = act is FileAct.RETRY or (transfer is not None and transfer.failed)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme["danger" if failed else "overlay"])
        painter.drawEllipse(self.circle)
        ink = theme["bg_window" if failed else "on_overlay"]
        glyph = "arrow-clockwise-bold" if failed else _glyph(act, self.file)
        icons.draw(painter, glyph, self.circle.adjusted(16, 16, -16, -16), ink)
        if act is FileAct.CANCEL:
            paint_ring(painter, self.circle.adjusted(4, 4, -4, -4), ink, transfer)
        self._paint_size(painter, ui, transfer)

    def _paint_size(self, painter: QPainter, ui: UiContext, transfer: TransferRow | None) -> None:
        moving = transfer is not None and transfer.total > 0 and not transfer.failed
        words = moving_text(ui, transfer) if moving and transfer is not None else ui.wording.size(self.file.size)
        width = fonts.tabular_metrics(fonts.MICRO).horizontalAdvance(words) + 16
        pill = QRectF(self.box.left() + 8, self.box.top() + 8, width, 20)
        paint_overlay_pill(painter, ui, pill)
        painter.setPen(ui.theme["on_overlay"])
        painter.setFont(fonts.tabular(fonts.MICRO))
        painter.drawText(pill, Qt.AlignmentFlag.AlignCenter, words)


def paint_overlay_pill(painter: QPainter, ui: UiContext, pill: QRectF) -> None:
    """The dark ground of words that stand on a picture."""
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(ui.theme["overlay"])
    painter.drawRoundedRect(pill, pill.height() / 2, pill.height() / 2)


def paint_ring(painter: QPainter, box: QRectF, ink: QColor, transfer: TransferRow | None) -> None:
    """How much has arrived, clockwise from the top, on a faint full ring."""
    faint = QColor(ink)
    faint.setAlphaF(0.3)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(faint, 3))
    painter.drawEllipse(box)
    part = transfer.part if transfer is not None else 0.0
    painter.setPen(QPen(ink, 3, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
    painter.drawArc(box, 90 * 16, -round(max(part, 0.02) * 360 * 16))


def _glyph(act: FileAct, file: FileRow) -> str:
    if act is FileAct.CANCEL:
        return "x-bold"
    return "arrow-down-bold" if act is FileAct.DOWNLOAD else type_icon(file)
