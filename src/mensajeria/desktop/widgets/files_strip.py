"""Files that were chosen and not yet sent: a card for each, above the composer, each with a way out."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import QRectF, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QPainter, QPaintEvent
from PyQt6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QWidget

from mensajeria.desktop.theme import fonts, icons
from mensajeria.desktop.viewmodels.parts import FilePhase, FileRow
from mensajeria.desktop.widgets import markup
from mensajeria.desktop.widgets.buttons import IconButton
from mensajeria.desktop.widgets.file_block import type_icon
from mensajeria.desktop.widgets.pictures import Pictures

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mensajeria.desktop.theme.context import UiContext

MAX_FILES: Final = 30
_WIDTH, _HEIGHT, _THUMB = 220, 60, 44


class FileChip(QWidget):
    """One chosen file: a small picture or an icon, name, size, and a button that takes it away."""

    removed = pyqtSignal(str)

    def __init__(self, ui: UiContext, pictures: Pictures, path: str) -> None:
        super().__init__()
        self._ui, self._pictures, self.path = ui, pictures, path
        name = Path(path).name
        media = mimetypes.guess_type(name)[0] or ""
        self._file = FileRow(name, media, _size(path), FilePhase.SAVED, width=1, height=1, saved_to=path)
        self.stop = IconButton(ui, "composer.remove_file", "x", side=28, glyph=16)
        self.stop.say("composer.remove_file", name=name)
        self.stop.clicked.connect(lambda: self.removed.emit(path))
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 6, 0)
        row.addStretch()
        row.addWidget(self.stop)
        self.setFixedSize(_WIDTH, _HEIGHT)
        self.setAccessibleName(f"{name}, {ui.wording.size(self._file.size)}")
        pictures.ready.connect(self.update)
        ui.theme_changed.connect(self.update)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """The card."""
        painter, theme = QPainter(self), self._ui.theme
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme["surface_sunken"])
        painter.drawRoundedRect(QRectF(self.rect()), 12, 12)
        self._paint_face(painter, QRectF(8, 8, _THUMB, _THUMB))
        metrics = fonts.metrics(fonts.LABEL_MEDIUM)
        room = _WIDTH - _THUMB - 20 - 40
        name = metrics.elidedText(markup.one_line(self._file.name), Qt.TextElideMode.ElideMiddle, room)
        painter.setPen(theme["text"])
        painter.setFont(fonts.font(fonts.LABEL_MEDIUM))
        painter.drawText(QRectF(62, 11, room, 18), Qt.AlignmentFlag.AlignVCenter, name)
        painter.setPen(theme["text2"])
        painter.setFont(fonts.font(fonts.CAPTION))
        painter.drawText(
            QRectF(62, 31, room, 16), Qt.AlignmentFlag.AlignVCenter, self._ui.wording.file_line(self._file)
        )

    def _paint_face(self, painter: QPainter, box: QRectF) -> None:
        picture = None
        if self._file.media.startswith("image/"):
            ratio = self.devicePixelRatioF()
            picture = self._pictures.get(self.path, self._file, box.width(), box.height(), ratio)
        if picture is not None:
            painter.drawPixmap(box.topLeft(), picture)
            return
        painter.setBrush(self._ui.theme["accent"])
        painter.drawEllipse(box)
        icons.draw(painter, type_icon(self._file), box.adjusted(12, 12, -12, -12), self._ui.theme["on_accent"])


class FilesStrip(QScrollArea):
    """Chosen files side by side; hidden while there are none."""

    changed = pyqtSignal()

    def __init__(self, ui: UiContext) -> None:
        super().__init__()
        self._ui, self._pictures = ui, Pictures(self)
        self.chips: list[FileChip] = []
        self._inside = QWidget()
        self._row = QHBoxLayout(self._inside)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(8)
        self._row.addStretch()
        self.setWidget(self._inside)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setStyleSheet("QScrollArea, QScrollArea > QWidget > QWidget { background: transparent; }")
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFixedHeight(_HEIGHT + 10)
        self.hide()

    @property
    def paths(self) -> list[str]:
        """The chosen files."""
        return [chip.path for chip in self.chips]

    def add(self, paths: Iterable[str]) -> None:
        """Take more files; one that is there already is not taken twice."""
        for path in paths:
            if path not in self.paths and len(self.chips) < MAX_FILES:
                chip = FileChip(self._ui, self._pictures, path)
                chip.removed.connect(self.remove)
                self.chips.append(chip)
                self._row.insertWidget(self._row.count() - 1, chip)
        self._tell()

    def remove(self, path: str) -> None:
        """Take a file away."""
        for chip in [each for each in self.chips if each.path == path]:
            self.chips.remove(chip)
            chip.hide()
            chip.deleteLater()
        self._tell()

    def clear(self) -> None:
        """Take all away."""
        for path in self.paths:
            self.remove(path)

    def sizeHint(self) -> QSize:
        """One line of cards."""
        return QSize(_WIDTH, _HEIGHT + 10)

    def _tell(self) -> None:
        self.setVisible(bool(self.chips))
        self.changed.emit()


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0
