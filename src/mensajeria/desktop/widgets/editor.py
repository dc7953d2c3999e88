"""The composer's text field: what its keys mean and what may be pasted into it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtCore import QMimeData, QRectF, Qt, pyqtSignal
from PyQt6.QtGui import QFocusEvent, QImage, QKeyEvent, QPainter, QPaintEvent, QTextOption
from PyQt6.QtWidgets import QFrame, QHBoxLayout, QPlainTextEdit, QWidget

from mensajeria.desktop.qt import present

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.widgets.buttons import IconButton

MAX_CHARACTERS = 16_000
_ARROWS = (Qt.Key.Key_Up, Qt.Key.Key_Down)
_ENTER = (Qt.Key.Key_Return, Qt.Key.Key_Enter)


def local_files(source: QMimeData) -> list[str]:
    """Paths of the files that are being pasted or dropped."""
    return [url.toLocalFile() for url in source.urls() if url.isLocalFile() and Path(url.toLocalFile()).is_file()]


class Editor(QPlainTextEdit):
    """The text itself."""

    sent = pyqtSignal()
    escaped = pyqtSignal()
    """Esc, while the composer has something to give up (see ``holds_escape``)."""
    edit_last_wanted = pyqtSignal()
    """Up in the empty editor."""
    pick_wanted = pyqtSignal(int)
    """Ctrl+Up (-1) or Ctrl+Down (+1): choose the message to answer."""
    files_given = pyqtSignal(object)
    """(list of paths) pasted."""
    picture_given = pyqtSignal(object)
    """(QImage) pasted."""
    focus_changed = pyqtSignal(bool)
    holds_escape = False

    def __init__(self, ui: UiContext) -> None:
        super().__init__()
        self._ui = ui
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setTabChangesFocus(True)
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        present(self.document()).setDocumentMargin(0)
        present(self.viewport()).setAutoFillBackground(False)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Enter sends and Shift+Enter breaks the line, or Ctrl+Enter sends, as the setting says."""
        if event is None:
            return
        if event.key() in _ENTER:
            held = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
            sends = Qt.KeyboardModifier.NoModifier if self._ui.enter_sends else Qt.KeyboardModifier.ControlModifier
            if held == sends:
                self.sent.emit()
                return
            if held in (Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier):
                self.insertPlainText("\n")
                return
        if event.key() == Qt.Key.Key_Escape:
            if self.holds_escape:
                self.escaped.emit()
            else:
                event.ignore()
            return
        if event.key() in _ARROWS and self._pressed_arrow(event):
            return
        super().keyPressEvent(event)

    def _pressed_arrow(self, event: QKeyEvent) -> bool:
        """Whether an arrow meant a message instead of the text."""
        held = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        if held == Qt.KeyboardModifier.ControlModifier:
            self.pick_wanted.emit(-1 if event.key() == Qt.Key.Key_Up else 1)
            return True
        if not held and event.key() == Qt.Key.Key_Up and not self.toPlainText():
            self.edit_last_wanted.emit()
            return True
        return False

    def canInsertFromMimeData(self, source: QMimeData | None) -> bool:
        """Text, files and pictures."""
        return source is not None and (source.hasText() or source.hasImage() or bool(local_files(source)))

    def insertFromMimeData(self, source: QMimeData | None) -> None:
        """Files and pictures go to the strip above; text is pasted plain, and never more than fits."""
        if source is None:
            return
        if paths := local_files(source):
            self.files_given.emit(paths)
        elif source.hasImage():
            image = source.imageData()
            if isinstance(image, QImage) and not image.isNull():
                self.picture_given.emit(image)
        elif source.hasText():
            room = MAX_CHARACTERS - len(self.toPlainText())
            self.insertPlainText(source.text()[: max(0, room)])

    def focusInEvent(self, event: QFocusEvent | None) -> None:
        """Tell the box."""
        super().focusInEvent(event)
        self.focus_changed.emit(True)

    def focusOutEvent(self, event: QFocusEvent | None) -> None:
        """Tell the box."""
        super().focusOutEvent(event)
        self.focus_changed.emit(False)


class Box(QWidget):
    """The sunken rounded ground of the editor."""

    def __init__(self, ui: UiContext, editor: Editor, *buttons: IconButton) -> None:
        super().__init__()
        self._ui = ui
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 10, 4, 10)
        row.setSpacing(2)
        row.addWidget(editor)
        for button in buttons:
            row.addWidget(button, 0, Qt.AlignmentFlag.AlignBottom)
        ui.theme_changed.connect(self.update)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """The ground."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._ui.theme["surface_sunken"])
        painter.drawRoundedRect(QRectF(self.rect()), 20, 20)
