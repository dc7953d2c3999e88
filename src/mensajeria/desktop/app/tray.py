"""The program's sign beside the clock: shows notes through the system, and what one does without the window."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import QObject, pyqtSignal
from PyQt6.QtGui import QAction
from PyQt6.QtWidgets import QMenu, QSystemTrayIcon

if TYPE_CHECKING:
    from PyQt6.QtGui import QIcon

    from mensajeria.desktop.viewmodels.notes import Note
    from mensajeria.desktop.viewmodels.session import SessionModel

SHOWN_MS: Final = 8000
NAME: Final = "MensajeriaApp"
_MARKUP: Final = str.maketrans({"<": "\u2039", ">": "\u203a", "&": "\uff06"})


class Tray(QObject):
    """Only where the system has a place for it (`QSystemTrayIcon.isSystemTrayAvailable`)."""

    opened = pyqtSignal(str)
    """(chat id, or empty) the sign or a note was pressed: the window is wanted."""

    def __init__(self, session: SessionModel, icon: QIcon, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._last = ""
        self.sign = QSystemTrayIcon(icon, self)
        self.menu = QMenu()
        self._open, self.quiet, self._quit = QAction(self), QAction(self), QAction(self)
        self.quiet.setCheckable(True)
        for action in (self._open, self.quiet, self._quit):
            self.menu.addAction(action)
        self.sign.setContextMenu(self.menu)
        self._open.triggered.connect(lambda: self.opened.emit(""))
        self.quiet.triggered.connect(self._set_quiet)
        self._quit.triggered.connect(session.quit)
        self.sign.activated.connect(self._pressed)
        self.sign.messageClicked.connect(lambda: self.opened.emit(self._last))
        session.preferences_changed.connect(self._translate)
        session.chats.counts_changed.connect(self._count)
        self._translate()
        self.sign.show()

    def show_note(self, note: Note) -> None:
        """Have the system show a note."""
        self._last = note.chat_id
        self.sign.showMessage(plain(note.title), plain(note.text), self.sign.icon(), SHOWN_MS)

    def _pressed(self, reason: QSystemTrayIcon.ActivationReason) -> None:
        if reason is QSystemTrayIcon.ActivationReason.Trigger:
            self.opened.emit("")

    def _set_quiet(self, on: bool) -> None:
        self._session.change_preferences(replace(self._session.preferences, do_not_disturb=on))

    def _translate(self) -> None:
        tr = self._session.wording.translator.tr
        self._open.setText(tr("tray.open"))
        self.quiet.setText(tr("notifications.do_not_disturb"))
        self._quit.setText(tr("menu.quit"))
        self.quiet.setChecked(self._session.preferences.do_not_disturb)
        self._count()

    def _count(self) -> None:
        count = self._session.chats.unread_chats
        words = f" · {self._session.wording.translator.tr('tray.unread', count=count)}" if count else ""
        self.sign.setToolTip(NAME + words)


def plain(text: str, platform: str = sys.platform) -> str:
    """Text that the system takes for text: on Linux many read the body of a notification as markup."""
    return text.translate(_MARKUP) if platform.startswith("linux") else text
