"""The running program: window, bridge and session of one profile, from the first batch to the last."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import QObject, QRect, QTimer, pyqtSignal
from PyQt6.QtGui import QGuiApplication
from PyQt6.QtWidgets import QInputDialog, QLineEdit, QSystemTrayIcon

from mensajeria.desktop.app import preferences as preferences_file
from mensajeria.desktop.app.notifier import Notifier
from mensajeria.desktop.app.tray import Tray
from mensajeria.desktop.qt import present
from mensajeria.desktop.viewmodels.types import ErrorNotice, Phase
from mensajeria.kit.secrets import Secret

if TYPE_CHECKING:
    from pathlib import Path

    from mensajeria.client.i18n import Translator
    from mensajeria.desktop.bridge.bridge import Bridge
    from mensajeria.desktop.viewmodels.notes import Note
    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.viewmodels.types import Preferences
    from mensajeria.desktop.windows.app_window import AppWindow

LEAVE_MS: Final = 10_000
SETTLE_MS: Final = 800
"""How long a picture waits after the window is there: fonts, first rows and fades are done by then."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ShowOptions:
    """How the window appears. `place`: "left", "right" or empty; `screenshot`: save a picture there and end."""

    place: str = ""
    screenshot: Path | None = None


class Program(QObject):
    """Wires what has no home elsewhere; `failure` says why the program had to end, if it had to.

    Lives as long as its window. Several can live in one process, each with its own client's thread.
    """

    ended = pyqtSignal()
    """Window and client are gone."""

    def __init__(
        self, session: SessionModel, bridge: Bridge, window: AppWindow, folder: Path, options: ShowOptions
    ) -> None:
        super().__init__(window)
        self.session, self.bridge, self.window = session, bridge, window
        self._folder, self._options = folder, options
        self._leaving = False
        self._asking: QInputDialog | None = None
        self.failure: ErrorNotice | None = None
        session.quit_requested.connect(self.leave)
        session.preferences_requested.connect(self._keep_preferences)
        bridge.opened.connect(self._show)
        bridge.passphrase_needed.connect(self._ask_passphrase)
        bridge.opening_failed.connect(self._give_up)
        bridge.stopped.connect(self._ended)
        self.tray = Tray(session, window.windowIcon(), self) if QSystemTrayIcon.isSystemTrayAvailable() else None
        if self.tray is not None:
            self.tray.opened.connect(self.open_chat)
        self.notifier = Notifier(session, window, self._show_note)

    @property
    def _translator(self) -> Translator:
        return self.session.wording.translator

    @property
    def sentence(self) -> str:
        """`failure` in words."""
        return self._translator.error(self.failure.code, self.failure.params) if self.failure is not None else ""

    def leave(self) -> None:
        """Close the window at once, and the program when the client has put everything away."""
        if self._leaving:
            return
        self._leaving = True
        self.window.close()
        self.bridge.leave()
        QTimer.singleShot(LEAVE_MS, self._quit)

    def raise_window(self) -> None:
        """Bring the window to the front."""
        if self.window.isMinimized():
            self.window.showNormal()
        self.window.show()
        self.window.raise_()
        self.window.activateWindow()

    def open_chat(self, chat_id: str = "") -> None:
        """Bring the window to the front, with a chat of whose messages the person was told."""
        self.raise_window()
        if self.session.phase is Phase.READY and self.session.chats.find(chat_id) is not None:
            self.session.open_chat(chat_id)

    def _show_note(self, note: Note) -> None:
        if self.tray is not None:
            self.tray.show_note(note)

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _show(self) -> None:
        if self.failure is not None:
            return
        if self._options.place:
            self.window.setGeometry(half_of_screen(self._options.place))
            self._open_only_chat()
        self.window.show()
        if self._options.screenshot is not None:
            self._open_only_chat()
            QTimer.singleShot(SETTLE_MS, self._take_picture)

    def _open_only_chat(self) -> None:
        chats = self.session.chats.visible
        if self.session.phase is Phase.READY and chats:
            self.session.open_chat(chats[0].chat_id)

    def _take_picture(self) -> None:
        assert self._options.screenshot is not None
        if not self.window.grab().save(str(self._options.screenshot), "PNG"):
            self.failure = ErrorNotice("unwritable", {"path": str(self._options.screenshot)})
        self.leave()

    def _keep_preferences(self, preferences: Preferences) -> None:
        preferences_file.save(self._folder, preferences)

    def _ask_passphrase(self, wrong: bool, new: bool) -> None:
        tr = self._translator.tr
        dialog = QInputDialog(self.window if self.window.isVisible() else None)
        dialog.setWindowTitle(tr("passphrase.title"))
        lines = [tr("error.passphrase_wrong")] if wrong else []
        dialog.setLabelText("\n".join([*lines, tr("passphrase.new" if new else "passphrase.open")]))
        dialog.setTextEchoMode(QLineEdit.EchoMode.Password)
        dialog.setOkButtonText(tr("passphrase.ok"))
        dialog.setCancelButtonText(tr("passphrase.cancel"))
        dialog.accepted.connect(lambda: self.bridge.give_passphrase(Secret.from_text(dialog.textValue())))
        dialog.rejected.connect(lambda: self._passphrase_refused(new))
        dialog.finished.connect(dialog.deleteLater)
        self._asking = dialog
        dialog.open()

    def _passphrase_refused(self, new: bool) -> None:
        if new:
            self.session.fail_auth(ErrorNotice("passphrase_needed"))
        else:
            self.leave()

    def _give_up(self, error: ErrorNotice) -> None:
        self.failure = error
        self.leave()

    def _ended(self) -> None:
        if not self._leaving:  # the client's thread broke: nothing works any more
            _log.error("the client's thread ended by itself")
            self.failure = self.failure or ErrorNotice("bug", {"name": "client"})
        self._leaving = True
        self._quit()

    def _quit(self) -> None:
        self.window.close()
        self.ended.emit()


def half_of_screen(place: str) -> QRect:
    """The left or right half of what the screen has free, no wider than two windows need."""
    free = present(QGuiApplication.primaryScreen()).availableGeometry()
    width, height = min(free.width() // 2, 900), min(free.height(), 760)
    top = free.top() + (free.height() - height) // 2
    middle = free.left() + free.width() // 2
    return QRect(middle - width if place == "left" else middle, top, width, height)
