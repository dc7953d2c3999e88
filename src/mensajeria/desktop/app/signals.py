"""SIGINT and SIGTERM reach a Qt program: Python runs a handler only between its own steps, and Qt's loop has none."""

from __future__ import annotations

import signal
import socket
from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import QObject, QSocketNotifier, pyqtSignal
from PyQt6.sip import voidptr

if TYPE_CHECKING:
    from types import FrameType

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class SignalWatch(QObject):
    """Emits `asked` when the process is asked to end. The main thread's, and one at a time."""

    asked = pyqtSignal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)
        self._notifier = QSocketNotifier(voidptr(self._read.fileno()), QSocketNotifier.Type.Read, self)
        self._notifier.activated.connect(self._wake)
        self._before = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        self._fd_before = signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)

    def close(self) -> None:
        """Give the signals back."""
        signal.set_wakeup_fd(self._fd_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._notifier.setEnabled(False)
        self._read.close()
        self._write.close()

    def _wake(self) -> None:
        self._read.recv(64)  # the handler has run by now: this slot is Python

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self.asked.emit()
