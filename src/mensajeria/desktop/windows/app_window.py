"""The program's one window: sign-in first, then the main window. This is what the application shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtGui import QCloseEvent
from PyQt6.QtWidgets import QStackedWidget

from mensajeria.desktop.theme import fonts
from mensajeria.desktop.viewmodels.types import Phase
from mensajeria.desktop.widgets.brand import window_icon
from mensajeria.desktop.widgets.focus_ring import FocusRing
from mensajeria.desktop.windows.auth import AuthWindow
from mensajeria.desktop.windows.main_window import MainWindow

if TYPE_CHECKING:
    from mensajeria.desktop.theme.context import UiContext
    from mensajeria.desktop.viewmodels.session import SessionModel

NAME = "MensajeriaApp"
_SMALLEST = (380, 520)


class AppWindow(QStackedWidget):
    """Follows the session's phase. Closing it asks the session to quit; the bridge ends the program."""

    def __init__(self, ui: UiContext, session: SessionModel) -> None:
        super().__init__()
        self._ui, self._session = ui, session
        self._auth: AuthWindow | None = None
        self.main = MainWindow(ui, session, self)
        self.addWidget(self.main)
        self.setMinimumSize(*_SMALLEST)
        self.setWindowIcon(window_icon(ui.theme))
        self.setAccessibleName(NAME)
        self._ring = FocusRing(ui, self)
        session.phase_changed.connect(self._follow)
        session.chats.counts_changed.connect(self._title)
        self._title()
        self._follow(session.phase)

    @property
    def auth(self) -> AuthWindow:
        """The pages of somebody who is not signed in; made when they are needed first."""
        if self._auth is None:
            self._auth = AuthWindow(self._ui, self._session, self)
            self.addWidget(self._auth)
            self._auth.follow(self._session.phase)
        return self._auth

    def _follow(self, phase: Phase) -> None:
        wanted = self.main if phase is Phase.READY else self.auth
        if self.currentWidget() is not wanted or not self.isVisible():
            self.setCurrentWidget(wanted)
            if not self.isMaximized() and not self.isFullScreen():
                self.resize(wanted.sizeHint())
        if phase is Phase.READY and self._session.begins_anew:
            self.main.tell_anew()
        if phase is Phase.READY and not fonts.has_colour_emoji():
            self.main.toast.tell(self._ui.say("notice.no_emoji_font"), good=False)

    def _title(self) -> None:
        count = self._session.chats.unread_chats
        self.setWindowTitle(f"({count}) {NAME}" if count else NAME)

    def closeEvent(self, event: QCloseEvent | None) -> None:
        """Keep the draft, then quit."""
        self.main.pane.composer.flush()
        self._session.quit()
        super().closeEvent(event)
