"""Tells the person of new messages: gathers what comes together, asks what may be said, has it shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import QObject, QTimer

from mensajeria.desktop.qt import application
from mensajeria.desktop.viewmodels.notes import NoteWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from PyQt6.QtWidgets import QWidget

    from mensajeria.desktop.viewmodels.notes import Arrival, Note
    from mensajeria.desktop.viewmodels.session import SessionModel

GATHER_MS: Final = 400
"""What comes in so short a time is told at once; the rows of its chats have come by then, too."""


class Notifier(QObject):
    """Between a session and whatever shows a note (`show`)."""

    def __init__(self, session: SessionModel, window: QWidget, show: Callable[[Note], None]) -> None:
        super().__init__(window)
        self._session, self._window, self._show = session, window, show
        self._writer = NoteWriter(session.wording, session.chats.find)
        self._came: list[Arrival] = []
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(GATHER_MS)
        self._timer.timeout.connect(self._tell)
        session.arrived.connect(self._take)

    def _take(self, arrival: Arrival) -> None:
        self._came.append(arrival)
        if not self._timer.isActive():
            self._timer.start()

    def _tell(self) -> None:
        came, self._came = self._came, []
        notes = self._writer.notes(came, self._session.preferences, self._in_front)
        for note in notes:
            self._show(note)
        if notes:
            application().alert(self._window)  # where there are no notifications the window's entry still shows it

    @property
    def _in_front(self) -> str:
        """The chat that the person looks at; nobody looks at a window that is not in use."""
        return self._session.current if self._window.isActiveWindow() else ""
