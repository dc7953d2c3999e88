"""Small dialogs: new chat, jump to a chat, keyboard shortcuts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QEvent, QObject, Qt, pyqtSignal
from PyQt6.QtGui import QKeyEvent
from PyQt6.QtWidgets import QGridLayout, QHBoxLayout, QWidget

from mensajeria.desktop.theme import fonts
from mensajeria.desktop.widgets.buttons import Button, Kind, LinkButton
from mensajeria.desktop.widgets.dialog import Dialog
from mensajeria.desktop.widgets.empty import KeyCap
from mensajeria.desktop.widgets.fields import Field, SearchBox
from mensajeria.desktop.widgets.jump_list import JumpList
from mensajeria.desktop.widgets.labels import Label

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.session import SessionModel

SHORTCUTS = (
    ("shortcuts.jump", ("Ctrl", "K")),
    ("shortcuts.new_chat", ("Ctrl", "N")),
    ("shortcuts.new_group", ("Ctrl", "Shift", "N")),
    ("shortcuts.search_chat", ("Ctrl", "F")),
    ("shortcuts.search", ("Ctrl", "Shift", "F")),
    ("shortcuts.previous", ("Alt", "↑")),
    ("shortcuts.next", ("Alt", "↓")),
    ("shortcuts.next_unread", ("Alt", "Shift", "↓")),
    ("shortcuts.send", ("keys.enter",)),
    ("shortcuts.new_line", ("Shift", "keys.enter")),
    ("shortcuts.copy", ("Ctrl", "C")),
    ("shortcuts.attach", ("Ctrl", "O")),
    ("shortcuts.emoji", ("Ctrl", "E")),
    ("shortcuts.edit_last", ("↑",)),
    ("shortcuts.pick_reply", ("Ctrl", "↑")),
    ("shortcuts.reply", ("R",)),
    ("shortcuts.react", ("+",)),
    ("shortcuts.edit", ("E",)),
    ("shortcuts.delete", ("keys.delete",)),
    ("shortcuts.message_menu", ("Shift", "F10")),
    ("shortcuts.info", ("Ctrl", "Shift", "I")),
    ("shortcuts.latest", ("Ctrl", "keys.end")),
    ("shortcuts.cycle", ("F6",)),
    ("shortcuts.larger", ("Ctrl", "+")),
    ("shortcuts.smaller", ("Ctrl", "\u2212")),
    ("shortcuts.usual", ("Ctrl", "0")),
    ("shortcuts.settings", ("Ctrl", ",")),
    ("shortcuts.sheet", ("F1",)),
    ("shortcuts.close", ("Esc",)),
    ("shortcuts.quit", ("Ctrl", "Q")),
)


class NewChatDialog(Dialog):
    """Asks for a user name and opens the chat with that person."""

    group_wanted = pyqtSignal()

    def __init__(self, ui: UiContext, session: SessionModel, host: QWidget) -> None:
        super().__init__(ui, host, "new_chat.title")
        self._session = session
        self.field = Field(ui, "new_chat.handle", "at", "new_chat.hint")
        self.card.column.addWidget(Label(ui, "new_chat.text", fonts.PREVIEW, "text2", wrap=True))
        self.card.column.addWidget(self.field)
        self.go = Button(ui, "new_chat.submit", Kind.PRIMARY)
        cancel = Button(ui, "action.cancel", Kind.SECONDARY)
        row = QHBoxLayout()
        row.setSpacing(10)
        self.group = LinkButton(ui, "new_chat.group", icon="users-three")
        self.group.clicked.connect(self._want_group)
        row.addWidget(self.group)
        row.addStretch()
        row.addWidget(cancel)
        row.addWidget(self.go)
        self.card.column.addLayout(row)
        cancel.clicked.connect(self.dismiss)
        self.go.clicked.connect(self.send)
        self.field.submitted.connect(self.send)
        self.field.edited.connect(self._edited)
        session.new_chat_finished.connect(self._finished)

    def send(self) -> None:
        """Ask for the chat."""
        handle = self.field.text.strip().lower().removeprefix("@")
        if not handle:
            self.field.fail("auth.missing")
            self.refit()
            return
        self.go.setEnabled(False)
        self._session.new_direct_chat(handle)

    def _want_group(self) -> None:
        self.dismiss()
        self.group_wanted.emit()

    def _edited(self) -> None:
        self.field.calm()
        self.refit()

    def _finished(self, chat_id: str, error: str) -> None:
        self.go.setEnabled(True)
        if error:
            self.field.fail_text(self.ui.translator.error(error))
            self.field.line.setFocus(Qt.FocusReason.OtherFocusReason)
            self.refit()
            return
        self.dismiss()
        self._session.open_chat(chat_id)


class JumpDialog(Dialog):
    """Type a few letters of a name, Enter opens the chat."""

    def __init__(self, ui: UiContext, session: SessionModel, host: QWidget) -> None:
        super().__init__(ui, host, "jump.title")
        self._session = session
        self.search = SearchBox(ui, "jump.hint")
        self.list = JumpList(ui)
        self.card.column.addWidget(self.search)
        self.card.column.addWidget(self.list)
        self.search.edited.connect(self._filter)
        self.search.submitted.connect(self._open)
        self.list.chosen.connect(self._go)
        self.search.line.installEventFilter(self)
        self._filter("")

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Up and down walk the list while the letters go to the line."""
        if watched is self.search.line and isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            step = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1}.get(Qt.Key(event.key()), 0)
            if step:
                self.list.move_by(step)
                return True
        return super().eventFilter(watched, event)

    def _filter(self, text: str) -> None:
        self.list.show_rows(self._session.chats.matching(text), self.ui.say("sidebar.nothing", text=text))

    def _open(self) -> None:
        if chat_id := self.list.current_chat:
            self._go(chat_id)

    def _go(self, chat_id: str) -> None:
        self.dismiss()
        self._session.open_chat(chat_id)


class ShortcutsDialog(Dialog):
    """The keys that work here."""

    def __init__(self, ui: UiContext, host: QWidget) -> None:
        super().__init__(ui, host, "shortcuts.title", width=800)
        grid = QGridLayout()
        grid.setHorizontalSpacing(24)
        grid.setVerticalSpacing(8)
        half = -(-len(SHORTCUTS) // 2)
        for place, (words, keys) in enumerate(SHORTCUTS):
            column, line = divmod(place, half)
            grid.addWidget(Label(ui, words, fonts.PREVIEW), line, column * 2)
            grid.addLayout(self._caps(keys), line, column * 2 + 1)
        for column in (0, 2):
            grid.setColumnStretch(column, 1)
        self.card.column.addLayout(grid)

    def _caps(self, keys: tuple[str, ...]) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addStretch()
        for key in keys:
            row.addWidget(KeyCap(self.ui, self.ui.say(key) if key.startswith("keys.") else key))
        return row
