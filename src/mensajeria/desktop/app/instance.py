"""One window per profile: a second start brings the first one's window to the front and ends."""

from __future__ import annotations

import hashlib
import sys
from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import QObject, pyqtSignal
from PyQt6.QtNetwork import QLocalServer, QLocalSocket

from mensajeria.desktop.qt import present

if TYPE_CHECKING:
    from pathlib import Path

WAIT_MS: Final = 500
_RAISE: Final = b"raise\n"
_LONGEST_SOCKET_PATH: Final = 100
"""A unix socket's path has 104 to 108 bytes at most."""


class SingleInstance(QObject):
    """Who is first listens on a local socket that only this user can reach."""

    raise_asked = pyqtSignal()
    """Another start of the same profile wants this window in front."""

    def __init__(self, profile: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._name = _socket_name(profile)
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        self._server.newConnection.connect(self._serve)

    def claim(self) -> bool:
        """True: this process is the first. False: another one is, and has been asked to show its window."""
        socket = QLocalSocket()
        socket.connectToServer(self._name)
        if socket.waitForConnected(WAIT_MS):
            socket.write(_RAISE)
            socket.waitForBytesWritten(WAIT_MS)
            socket.disconnectFromServer()
            return False
        QLocalServer.removeServer(self._name)  # left behind by a process that was killed
        # Where no socket can be made the profile's own lock still keeps a second process out.
        self._server.listen(self._name)
        return True

    def release(self) -> None:
        """Let another process be the first."""
        self._server.close()

    def _serve(self) -> None:
        while self._server.hasPendingConnections():
            socket = present(self._server.nextPendingConnection())
            socket.disconnected.connect(socket.deleteLater)
            socket.readyRead.connect(self._read)

    def _read(self) -> None:
        socket = self.sender()
        if isinstance(socket, QLocalSocket) and socket.read(len(_RAISE)) == _RAISE:
            self.raise_asked.emit()


def _socket_name(profile: Path) -> str:
    path = str(profile.resolve() / "window.sock")
    if sys.platform != "win32" and len(path.encode()) <= _LONGEST_SOCKET_PATH:
        return path
    return "mensajeria-" + hashlib.sha256(path.encode()).hexdigest()[:32]
