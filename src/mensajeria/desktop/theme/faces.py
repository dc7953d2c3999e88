"""Round pictures of people and groups, decoded in a worker thread, never while painting.

What is decoded was made by somebody else: one format, a limit on size before anything is allocated, and a picture that
cannot be decoded is one that is not there.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import QBuffer, QByteArray, QIODevice, QObject, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QImage, QImageReader, QPixmap

if TYPE_CHECKING:
    from mensajeria.desktop.viewmodels.profiles import ProfilesModel

MAX_KEPT: Final = 256
MAX_SIDE: Final = 512
_JPEG: Final = b"\xff\xd8\xff"
Key = tuple[str, int]
"""(whose, side in device pixels)"""


class Faces(QObject):
    """Answers with what is there; ``ready`` says when there is more, or another one."""

    ready = pyqtSignal()
    _decoded = pyqtSignal(object, object, object)
    """(key, bytes, QImage or None), from the worker."""

    def __init__(self, profiles: ProfilesModel, parent: QObject) -> None:
        super().__init__(parent)
        self._profiles = profiles
        self._kept: OrderedDict[Key, QPixmap | None] = OrderedDict()
        self._asked: set[tuple[Key, bytes]] = set()
        self._worker: ThreadPoolExecutor | None = None
        self._decoded.connect(self._keep)
        profiles.changed.connect(self._changed)

    def get(self, who: str, side: float, ratio: float) -> QPixmap | None:
        """The square picture, px of the screen; None while it is being decoded, or when there is none."""
        picture = self._profiles.find(who).picture if who else b""
        if not picture:
            return None
        key = (who, ceil(side * ratio))
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        if (key, picture) not in self._asked:
            self._asked.add((key, picture))
            if self._worker is None:
                self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="faces")
            self._worker.submit(self._work, key, picture)
        return None

    def _changed(self, who: str) -> None:
        for key in [key for key in self._kept if key[0] == who]:
            del self._kept[key]
        self.ready.emit()

    def _work(self, key: Key, picture: bytes) -> None:
        made = square(picture, key[1])
        with contextlib.suppress(RuntimeError):  # the window was closed meanwhile
            self._decoded.emit(key, picture, made)

    def _keep(self, key: Key, picture: bytes, made: QImage | None) -> None:
        self._asked.discard((key, picture))
        if self._profiles.find(key[0]).picture != picture:
            return  # there is another one by now
        self._kept[key] = None if made is None else QPixmap.fromImage(made)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        self.ready.emit()


def square(picture: bytes, side: int) -> QImage | None:
    """The middle of a small JPEG, `side` pixels wide; None for anything else. In any thread."""
    if not picture.startswith(_JPEG):
        return None
    buffer = QBuffer()
    buffer.setData(QByteArray(picture))
    buffer.open(QIODevice.OpenModeFlag.ReadOnly)
    reader = QImageReader(buffer, QByteArray(b"jpeg"))
    reader.setDecideFormatFromContent(False)
    size = reader.size()
    if not size.isValid() or max(size.width(), size.height()) > MAX_SIDE:
        return None
    image = reader.read()
    if image.isNull():
        return None
    fill, smooth = Qt.AspectRatioMode.KeepAspectRatioByExpanding, Qt.TransformationMode.SmoothTransformation
    cover = image.scaled(QSize(side, side), fill, smooth)
    return cover.copy((cover.width() - side) // 2, (cover.height() - side) // 2, side, side)
