"""Where a message is written: grows to eight lines, sends with Enter, remembers a draft for each chat."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from PyQt6.QtCore import QMimeData, QRectF, Qt, QTimer, pyqtSignal
from PyQt6.QtGui import QFocusEvent, QKeyEvent, QPainter, QPaintEvent, QResizeEvent, QTextOption
from PyQt6.QtWidgets import QFrame, QHBoxLayout, QPlainTextEdit, QSizePolicy, QWidget

from mensajeria.desktop.qt import present
from mensajeria.desktop.theme import fonts
from mensajeria.desktop.widgets.buttons import SendButton

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext

MAX_LINES = 8
MAX_CHARACTERS = 16_000
TYPING_REPEAT_S, TYPING_STOP_MS, DRAFT_MS = 4.0, 5000, 600
_ENTER = (Qt.Key.Key_Return, Qt.Key.Key_Enter)


class Editor(QPlainTextEdit):
    """The text itself."""

    sent = pyqtSignal()
    focus_changed = pyqtSignal(bool)

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
            event.ignore()
            return
        super().keyPressEvent(event)

    def insertFromMimeData(self, source: QMimeData | None) -> None:
        """Paste text only, and never more than fits."""
        if source is not None and source.hasText():
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

    def __init__(self, ui: UiContext, editor: Editor) -> None:
        super().__init__()
        self._ui = ui
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 10, 12, 10)
        row.addWidget(editor)
        ui.theme_changed.connect(self.update)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """The ground."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._ui.theme["surface_sunken"])
        painter.drawRoundedRect(QRectF(self.rect()), 20, 20)


class Composer(QWidget):
    """Editor and send button. ``submitted`` carries the text; ``typing`` is thinned out to one signal per 4 s."""

    submitted = pyqtSignal(str)
    typing = pyqtSignal(bool)
    draft_changed = pyqtSignal(str, str)
    """(chat id, text)"""

    def __init__(self, ui: UiContext) -> None:
        super().__init__()
        self._ui, self._chat, self._told_at, self._filling = ui, "", 0.0, False
        self.editor = Editor(ui)
        self._box = Box(ui, self.editor)
        self._send = SendButton(ui)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 10, 12, 12)
        row.setSpacing(10)
        row.addWidget(self._box, 1)
        row.addWidget(self._send, 0, Qt.AlignmentFlag.AlignBottom)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.setFocusProxy(self.editor)
        self._stop, self._save = QTimer(self), QTimer(self)
        for timer, wait, what in ((self._stop, TYPING_STOP_MS, self._tell_stop), (self._save, DRAFT_MS, self.flush)):
            timer.setSingleShot(True)
            timer.setInterval(wait)
            timer.timeout.connect(what)
        self.editor.textChanged.connect(self._changed)
        self.editor.sent.connect(self.submit)
        self._send.clicked.connect(self.submit)
        ui.language_changed.connect(self._translate)
        ui.text_size_changed.connect(self._resize_text)
        ui.theme_changed.connect(self.update)
        self._translate()
        self._resize_text()

    def open(self, chat_id: str, draft: str) -> None:
        """Write to another chat, beginning with its draft; what was written to the last one is kept as its draft."""
        self.flush()
        self._tell_stop()
        self._chat = chat_id
        self._filling = True
        self.editor.setPlainText(draft)
        self._filling = False
        cursor = self.editor.textCursor()
        cursor.movePosition(cursor.MoveOperation.End)
        self.editor.setTextCursor(cursor)

    @property
    def text(self) -> str:
        """What stands in the editor."""
        return self.editor.toPlainText()

    def submit(self) -> None:
        """Send what stands in the editor, if there is anything but blanks."""
        text = self.text
        if not text.strip():
            return
        self._filling = True
        self.editor.setPlainText("")
        self._filling = False
        self._save.stop()
        self._tell_stop()
        self.draft_changed.emit(self._chat, "")
        self.submitted.emit(text)

    def type_into(self, event: QKeyEvent) -> None:
        """A letter typed elsewhere in the window."""
        self.editor.setFocus(Qt.FocusReason.OtherFocusReason)
        self.editor.insertPlainText(event.text())

    def flush(self) -> None:
        """Keep the draft now."""
        if self._save.isActive():
            self._save.stop()
            self.draft_changed.emit(self._chat, self.text)

    def _changed(self) -> None:
        text = self.text
        if len(text) > MAX_CHARACTERS:
            self.editor.setPlainText(text[:MAX_CHARACTERS])
            self.editor.moveCursor(self.editor.textCursor().MoveOperation.End)
            return
        self._send.setEnabled(bool(text.strip()))
        self._fit()
        if self._filling:
            return
        self._save.start()
        if not text.strip():
            self._tell_stop()
        else:
            self._tell_typing()

    def _tell_typing(self) -> None:
        self._stop.start()
        if monotonic() - self._told_at >= TYPING_REPEAT_S:
            self._told_at = monotonic()
            self.typing.emit(True)

    def _tell_stop(self) -> None:
        self._stop.stop()
        if self._told_at:
            self._told_at = 0.0
            self.typing.emit(False)

    def _fit(self) -> None:
        """One line is 40 px high with its margins; more lines grow the box, up to eight."""
        line = self.editor.fontMetrics().lineSpacing()
        document = present(self.editor.document())
        lines = min(max(1, round(document.size().height())), MAX_LINES)
        height = max(40, lines * line + 20)
        overflow = document.size().height() > MAX_LINES
        policy = Qt.ScrollBarPolicy.ScrollBarAsNeeded if overflow else Qt.ScrollBarPolicy.ScrollBarAlwaysOff
        self.editor.setVerticalScrollBarPolicy(policy)
        spare = (height - lines * line) // 2
        present(self._box.layout()).setContentsMargins(16, spare, 12, height - lines * line - spare)
        self._box.setFixedHeight(height)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Lines may break elsewhere."""
        super().resizeEvent(event)
        self._fit()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's signature
        """Surface with a hairline above."""
        painter, theme = QPainter(self), self._ui.theme
        painter.fillRect(self.rect(), theme["bg_window"])
        painter.fillRect(0, 0, self.width(), 1, theme["border"])

    def _resize_text(self) -> None:
        self.editor.setFont(fonts.font(fonts.message_role(self._ui.text_size)))
        self._fit()

    def _translate(self) -> None:
        words = self._ui.say("composer.placeholder")
        self.editor.setPlaceholderText(words)
        self.editor.setAccessibleName(words)
