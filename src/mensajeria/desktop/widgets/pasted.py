"""Pasted pictures as files: written by a worker thread into a private folder, gone once they are sent or dropped."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtCore import QObject, pyqtSignal

if TYPE_CHECKING:
    from PyQt6.QtGui import QImage


class PastedPictures(QObject):
    """``saved`` tells the path of each picture. Lives on Qt's thread."""

    saved = pyqtSignal(str)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._folder: str | None = None
        self._count = 0
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pasted")

    def save(self, image: QImage) -> None:
        """Keep a picture of the clipboard until it is sent; readable by this user only."""
        if self._folder is None:
            self._folder = tempfile.mkdtemp(prefix="mensajeria-")
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._count += 1
        path = str(Path(self._folder) / f"imagen-{self._count}.png")
        self._worker.submit(self._write, image, path)

    def _write(self, image: QImage, path: str) -> None:
        if image.save(path, "PNG"):
            with contextlib.suppress(RuntimeError):  # the window was closed meanwhile
                self.saved.emit(path)

    def drop(self, path: str) -> None:
        """A picture will not be sent."""
        self._worker.submit(Path(path).unlink, missing_ok=True)
