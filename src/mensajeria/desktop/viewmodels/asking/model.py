"""The door through which requests go out and answers come in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QObject, pyqtSignal

from mensajeria.desktop.viewmodels.asking.account import AccountAnswer, AccountRequest, Device, Devices
from mensajeria.desktop.viewmodels.asking.chats import ChatAnswer, ChatRequest
from mensajeria.desktop.viewmodels.asking.people import Comparison, PersonAnswer, PersonRequest

if TYPE_CHECKING:
    from mensajeria.desktop.viewmodels.types import ErrorNotice

Request = ChatRequest | PersonRequest | AccountRequest
Answer = ChatAnswer | PersonAnswer | AccountAnswer


class AskModel(QObject):
    """Requests out, answers in. See the package's docstring."""

    asked = pyqtSignal(object)
    finished = pyqtSignal(object, object)
    """(request, `ErrorNotice` or None)"""
    answered = pyqtSignal(object)
    """Any `Answer`; whoever shows one looks at its type."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._comparisons: dict[str, Comparison] = {}
        self._new_devices: tuple[Device, ...] = ()

    def ask(self, request: Request) -> None:
        """Ask for something."""
        self.asked.emit(request)

    def put(self, answer: Answer) -> None:
        """Something to show has come."""
        if isinstance(answer, Comparison):
            self._comparisons[answer.person.handle] = answer
        elif isinstance(answer, Devices):
            self._new_devices = tuple(row for row in answer.rows if row.is_new and not row.current)
        self.answered.emit(answer)

    def finish(self, request: Request, error: ErrorNotice | None = None) -> None:
        """A request is done, or has failed."""
        self.finished.emit(request, error)

    def comparison(self, handle: str) -> Comparison | None:
        """The newest step of a comparison with this person."""
        return self._comparisons.get(handle)

    @property
    def new_devices(self) -> tuple[Device, ...]:
        """Own devices that nobody has confirmed."""
        return self._new_devices
