"""What a connection needs from the socket under it."""

from __future__ import annotations

from typing import Protocol

from mensajeria.protocol.errors import Close


class Wire(Protocol):
    """One WebSocket, seen from above. No method waits; after `close` or `abort` nothing more is sent."""

    def send(self, data: bytes) -> int:
        """Send one binary message; how many bytes now wait in this process for the socket to take them."""
        ...

    def pause(self) -> None:
        """Stop reading: the client's own socket fills, and it has to wait."""
        ...

    def resume(self) -> None:
        """Read again."""
        ...

    def close(self, code: Close, reason: str = "") -> None:
        """Say why, and cut the connection when the other side has answered or a few seconds have passed."""
        ...

    def abort(self) -> None:
        """Cut the connection now."""
        ...
