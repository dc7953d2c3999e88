"""Where a message is written: grows to eight lines, sends with Enter, remembers a draft for each chat."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from PyQt6.QtCore import QPoint, QRect, Qt, QTimer, pyqtSignal
from PyQt6.QtGui import QKeyEvent, QPainter, QPaintEvent, QResizeEvent
from PyQt6.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from mensajeria.desktop.qt import present
from mensajeria.desktop.theme import fonts
from mensajeria.desktop.viewmodels.parts import Outgoing
from mensajeria.desktop.widgets.buttons import IconButton, SendButton
from mensajeria.desktop.widgets.context_strip import ContextStrip
from mensajeria.desktop.widgets.editor import MAX_CHARACTERS, Box, Editor
from mensajeria.desktop.widgets.emoji_picker import EmojiPicker
from mensajeria.desktop.widgets.files_strip import FilesStrip
from mensajeria.desktop.widgets.pasted import PastedPictures

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.types import MessageRow

MAX_LINES = 8
TYPING_REPEAT_S, TYPING_STOP_MS, DRAFT_MS = 4.0, 5000, 600


class Composer(QWidget):
    """Editor, buttons, and above them what is answered or worded anew and the chosen files.

    ``submitted`` carries a plain text; ``typing`` is thinned out to one signal per 4 s.
    """

    submitted = pyqtSignal(str)
    replied = pyqtSignal(str, str)
    """(text, id of the answered message)"""
    reworded = pyqtSignal(str, str)
    """(message id, text)"""
    files_sent = pyqtSignal(Outgoing)
    attach_wanted = pyqtSignal()
    timer_wanted = pyqtSignal()
    typing = pyqtSignal(bool)
    draft_changed = pyqtSignal(str, str)
    """(chat id, text)"""

    def __init__(self, ui: UiContext) -> None:
        super().__init__()
        self._ui, self._chat, self._told_at, self._filling = ui, "", 0.0, False
        self._answered: MessageRow | None = None
        self._reworded: MessageRow | None = None
        self._put_aside = ""
        self.editor = Editor(ui)
        self.timer = IconButton(ui, "disappearing.title", "hourglass", side=34, glyph=20)
        self.clip = IconButton(ui, "composer.attach", "paperclip", side=40)
        self.emoji = IconButton(ui, "composer.emoji", "smiley", side=34, glyph=20)
        self._box = Box(ui, self.editor, self.timer, self.emoji)
        self._send = SendButton(ui)
        self.strip, self.files = ContextStrip(ui), FilesStrip(ui)
        self._pasted = PastedPictures(self)
        self._written: set[str] = set()
        """Pasted pictures that wait in the strip."""
        row = QHBoxLayout()
        row.setSpacing(10)
        row.addWidget(self.clip, 0, Qt.AlignmentFlag.AlignBottom)
        row.addWidget(self._box, 1)
        row.addWidget(self._send, 0, Qt.AlignmentFlag.AlignBottom)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 10, 12, 12)
        column.setSpacing(8)
        column.addWidget(self.strip)
        column.addWidget(self.files)
        column.addLayout(row)
        self._wire_parts()
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

    def _wire_parts(self) -> None:
        self.clip.clicked.connect(self.attach_wanted)
        self.timer.clicked.connect(self.timer_wanted)
        self.emoji.clicked.connect(self.choose_emoji)
        self.strip.closed.connect(self.give_up)
        self.files.changed.connect(self._files_changed)
        self.editor.escaped.connect(self.give_up)
        self.editor.files_given.connect(self.files.add)
        self.editor.picture_given.connect(self._pasted.save)
        self._pasted.saved.connect(self._take_pasted)

    def _take_pasted(self, path: str) -> None:
        self._written.add(path)
        self.files.add([path])

    def open(self, chat_id: str, draft: str) -> None:
        """Write to another chat, beginning with its draft; what was written to the last one is kept as its draft."""
        self.give_up()
        self.flush()
        self._tell_stop()
        self.files.clear()
        self._chat = chat_id
        self._fill(draft)

    def answer(self, row: MessageRow) -> None:
        """What is sent next answers this message."""
        self._leave_rewording()
        self._answered = row
        self.strip.show_reply(row)
        self._context_changed()

    def reword(self, row: MessageRow) -> None:
        """Put an own text into the editor; sending it changes the message. The draft waits meanwhile."""
        if self._reworded is None:
            self.flush()
            self._put_aside = self.text
        self._answered, self._reworded = None, row
        self.strip.show_edit(row)
        self._fill(row.text)
        self._context_changed()

    def give_up(self) -> None:
        """Answer nothing, word nothing anew: the draft comes back."""
        self._leave_rewording()
        self._answered = None
        self.strip.hide()
        self._context_changed()

    @property
    def answered(self) -> MessageRow | None:
        """The message that is being answered."""
        return self._answered

    @property
    def is_busy(self) -> bool:
        """Whether Esc gives something up here."""
        return self._answered is not None or self._reworded is not None

    def show_timer(self, seconds: int) -> None:
        """Whether what is written disappears."""
        self.timer.set_icon("hourglass-fill" if seconds else "hourglass")
        self.timer.set_ink("accent_text" if seconds else "text2")
        words = self._ui.say("disappearing.title")
        if seconds:
            words = f"{words}: {self._ui.translator.span(seconds)}"
        self.timer.setToolTip(words)
        self.timer.setAccessibleName(words)

    def _leave_rewording(self) -> None:
        if self._reworded is not None:
            self._reworded = None
            self._fill(self._put_aside)
            self._put_aside = ""

    def _fill(self, text: str) -> None:
        self._filling = True
        self.editor.setPlainText(text)
        self._filling = False
        cursor = self.editor.textCursor()
        cursor.movePosition(cursor.MoveOperation.End)
        self.editor.setTextCursor(cursor)

    def _context_changed(self) -> None:
        self.editor.holds_escape = self.is_busy
        if self.is_busy:
            self.editor.setFocus(Qt.FocusReason.OtherFocusReason)
        self.updateGeometry()

    def _files_changed(self) -> None:
        for path in self._written - set(self.files.paths):
            self._written.discard(path)
            self._pasted.drop(path)
        self._translate()
        self._enable()
        self.updateGeometry()

    def _enable(self) -> None:
        self._send.setEnabled(bool(self.text.strip()) or bool(self.files.chips))

    @property
    def text(self) -> str:
        """What stands in the editor."""
        return self.editor.toPlainText()

    def submit(self) -> None:
        """Send what stands in the editor and the chosen files, if there is anything but blanks."""
        text, answered, reworded = self.text, self._answered, self._reworded
        if not text.strip() and not self.files.chips:
            return
        if reworded is not None:
            if text.strip():
                self.give_up()
                self.reworded.emit(reworded.mid, text)
            return
        self._fill("")
        self._save.stop()
        self._tell_stop()
        self.draft_changed.emit(self._chat, "")
        self.give_up()
        if self.files.chips:
            # A file cannot be an answer: its text goes as one of its own then.
            self._send_files("" if answered is not None else text)
            text = text if answered is not None else ""
        if answered is not None and text.strip():
            self.replied.emit(text, answered.mid)
        elif text.strip():
            self.submitted.emit(text)

    def _send_files(self, caption: str) -> None:
        paths = self.files.paths
        temporary = frozenset(self._written.intersection(paths))
        self._written -= temporary
        self.files.clear()
        self.files_sent.emit(Outgoing(tuple(paths), caption, temporary))

    def choose_emoji(self) -> None:
        """Offer emoji over their button; each goes in where the cursor stands."""
        picker = EmojiPicker(self._ui, self, stays=True)
        picker.chosen.connect(self.editor.insertPlainText)
        picker.open_over(QRect(self.emoji.mapToGlobal(QPoint(0, 0)), self.emoji.size()))

    def type_into(self, event: QKeyEvent) -> None:
        """A letter typed elsewhere in the window."""
        self.editor.setFocus(Qt.FocusReason.OtherFocusReason)
        self.editor.insertPlainText(event.text())

    def flush(self) -> None:
        """Keep the draft now."""
        if self._save.isActive() and self._reworded is None:
            self._save.stop()
            self.draft_changed.emit(self._chat, self.text)

    def _changed(self) -> None:
        text = self.text
        if len(text) > MAX_CHARACTERS:
            self.editor.setPlainText(text[:MAX_CHARACTERS])
            self.editor.moveCursor(self.editor.textCursor().MoveOperation.End)
            return
        self._enable()
        self._fit()
        if self._filling or self._reworded is not None:
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
        present(self._box.layout()).setContentsMargins(16, 0, 4, 3)
        self.editor.setFixedHeight(lines * line)
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
        words = self._ui.say("composer.caption" if self.files.chips else "composer.placeholder")
        self.editor.setPlaceholderText(words)
        self.editor.setAccessibleName(words)
