"""Pictures of the timeline: decoded in a worker thread, never while painting.

What is decoded was made by somebody else: only three formats, a limit on size before anything is allocated, and a
picture that cannot be decoded is one that is not there.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import QBuffer, QByteArray, QIODevice, QObject, QRectF, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QBrush, QImage, QImageReader, QPainter, QPixmap, QTransform

from mensajeria.kit import blurhash

if TYPE_CHECKING:
    from mensajeria.desktop.viewmodels.parts import FileRow

MAX_KEPT: Final = 48
MAX_PIXELS: Final = 64_000_000
_FORMATS: Final = {"image/jpeg": b"jpeg", "image/png": b"png", "image/webp": b"webp"}
_JPEG: Final = b"\xff\xd8\xff"
_RADIUS: Final = 12.0
_BLUR_SIDE: Final = 24

Key = tuple[str, str, int, int, float]


class Pictures(QObject):
    """Answers with what is there; ``ready`` says when there is more. Lives on Qt's thread."""

    ready = pyqtSignal()
    _decoded = pyqtSignal(object, object)
    """(key, QImage or None), from the worker."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._kept: OrderedDict[Key, QPixmap | None] = OrderedDict()
        self._asked: set[Key] = set()
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pictures")
        self._decoded.connect(self._keep)

    def get(self, mid: str, file: FileRow, width: float, height: float, ratio: float) -> QPixmap | None:
        """The picture for a box of this size, px; ``None`` while it is being decoded or when it cannot be."""
        key = (mid, file.saved_to, round(width), round(height), ratio)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        if key not in self._asked:
            self._asked.add(key)
            self._worker.submit(self._work, key, file)
        return None

    def _work(self, key: Key, file: FileRow) -> None:
        made = picture(file, key[2], key[3], key[4])
        with contextlib.suppress(RuntimeError):  # the window was closed meanwhile
            self._decoded.emit(key, made)

    def _keep(self, key: Key, made: QImage | None) -> None:
        self._asked.discard(key)
        self._kept[key] = None if made is None else QPixmap.fromImage(made)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        self.ready.emit()


def picture(file: FileRow, width: int, height: int, ratio: float) -> QImage | None:
    """The best there is: the saved file, else the thumbnail, else the blur; with round corners. In any thread."""
    pixels = QSize(ceil(width * ratio), ceil(height * ratio))
    found = _from_file(file, pixels) or _from_thumb(file, pixels) or _from_blurhash(file)
    return None if found is None else _rounded(found, pixels, ratio)


def _from_file(file: FileRow, pixels: QSize) -> QImage | None:
    kind = _FORMATS.get(file.media)
    if not file.saved_to or kind is None:
        return None
    reader = QImageReader(file.saved_to, QByteArray(kind))
    return _read(reader, pixels)


def _from_thumb(file: FileRow, pixels: QSize) -> QImage | None:
    if not file.thumb.startswith(_JPEG):
        return None
    buffer = QBuffer()
    buffer.setData(QByteArray(file.thumb))
    buffer.open(QIODevice.OpenModeFlag.ReadOnly)
    return _read(QImageReader(buffer, QByteArray(b"jpeg")), pixels)


def _read(reader: QImageReader, pixels: QSize) -> QImage | None:
    """Decode no more than is needed to cover ``pixels``."""
    reader.setDecideFormatFromContent(False)
    size = reader.size()
    if not size.isValid() or size.width() * size.height() > MAX_PIXELS:
        return None
    cover = size.scaled(pixels, Qt.AspectRatioMode.KeepAspectRatioByExpanding)
    if cover.width() < size.width():
        reader.setScaledSize(cover.boundedTo(QSize(4096, 4096)))
    image = reader.read()
    return None if image.isNull() else image


def _from_blurhash(file: FileRow) -> QImage | None:
    if not file.blurhash:
        return None
    try:
        rgb = blurhash.decode(file.blurhash, _BLUR_SIDE, _BLUR_SIDE)
    except blurhash.BlurhashError:
        return None
    return QImage(rgb, _BLUR_SIDE, _BLUR_SIDE, _BLUR_SIDE * 3, QImage.Format.Format_RGB888).copy()


def _rounded(image: QImage, pixels: QSize, ratio: float) -> QImage:
    """Cover the box with the picture's middle, inside round corners."""
    smooth = Qt.TransformationMode.SmoothTransformation
    cover = image.scaled(pixels, Qt.AspectRatioMode.KeepAspectRatioByExpanding, smooth)
    made = QImage(pixels, QImage.Format.Format_ARGB32_Premultiplied)
    made.fill(Qt.GlobalColor.transparent)
    left, top = (cover.width() - pixels.width()) // 2, (cover.height() - pixels.height()) // 2
    brush = QBrush(cover)
    brush.setTransform(QTransform.fromTranslate(-left, -top))
    painter = QPainter(made)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(brush)
    painter.drawRoundedRect(QRectF(0, 0, pixels.width(), pixels.height()), _RADIUS * ratio, _RADIUS * ratio)
    painter.end()
    made.setDevicePixelRatio(ratio)
    return made
