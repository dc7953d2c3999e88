"""Refuses a request body that is too large before anything reads it into memory."""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mensajeria.protocol.errors import Code, ProtocolError

MAX_BODY: Final = 512 << 10
"""Bytes. The largest legitimate request uploads 100 one-time keys and two others: about 40 KiB."""


class BodyLimit:
    """ASGI middleware: by Content-Length if there is one, and by counting in any case."""

    def __init__(self, app: ASGIApp, limit: int = MAX_BODY) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; raises ProtocolError TOO_LARGE into the application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        counter = _Counter(receive, self._limit, _announced(scope))
        await self._app(scope, counter.receive, send)


class _Counter:
    def __init__(self, receive: Receive, limit: int, announced: int) -> None:
        self._receive = receive
        self._limit = limit
        self._announced = announced
        self._seen = 0

    async def receive(self) -> Message:
        if self._announced > self._limit:
            raise ProtocolError(Code.TOO_LARGE, f"at most {self._limit} bytes")
        message = await self._receive()
        self._seen += len(message.get("body", b""))
        if self._seen > self._limit:
            raise ProtocolError(Code.TOO_LARGE, f"at most {self._limit} bytes")
        return message


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0
