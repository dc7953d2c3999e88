"""Refuses a request body that is too large or too slow, before anything parses it or asks who sends it."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Final

from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mensajeria.protocol.errors import Code
from mensajeria.server.problems import MEDIA_TYPE, problem_body, problem_headers

MAX_BODY: Final = 512 << 10
"""Bytes. The largest legitimate request uploads 100 one-time keys and two others: about 40 KiB."""
BODY_S: Final = 30.0
"""Seconds for a body: 17 KiB/s for the largest."""


SMALL: Final = 64 << 10
"""Bytes of a body that count for nothing, about as much as the connection buffers anyway."""
HELD_MAX: Final = 64 << 20
"""Bytes of larger bodies that are on their way at once: who has not said who he is must not fill the memory."""


class CrowdedError(Exception):
    """Too much is on its way at once."""


class BodyLimit:
    """ASGI middleware: reads the body up to the limit and hands it on in one piece. One for the process."""

    def __init__(self, app: ASGIApp, limit: int = MAX_BODY) -> None:
        self._app = app
        self._limit = limit
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request: 413 for a body above the limit, announced or found by counting; 408 for a slow one."""
        if scope["type"] != "http" or _is_upload(scope):
            await self._app(scope, receive, send)
            return
        if _announced(scope) > self._limit:
            await self._refuse_size(scope, receive, send)
            return
        try:
            async with asyncio.timeout(BODY_S if _has_body(scope) else None):
                body = await self._read(receive)
        except TimeoutError:
            detail = f"the body took longer than {BODY_S:.0f} s"
            await _refuse(scope, receive, send, Code.UNAVAILABLE, detail, HTTPStatus.REQUEST_TIMEOUT)
            return
        except CrowdedError:
            await _refuse(scope, receive, send, Code.UNAVAILABLE, "too many bodies at once")
            return
        if body is None:
            await self._refuse_size(scope, receive, send)
        else:
            await self._app(scope, _Replay(body, receive), send)

    async def _refuse_size(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _refuse(scope, receive, send, Code.TOO_LARGE, f"at most {self._limit} bytes")

    async def _read(self, receive: Receive) -> bytes | None:
        """The whole body, or None when it is too large. A client that goes away meanwhile leaves what it sent.

        Raises:
            CrowdedError: see there.
        """
        body = bytearray()
        counted = 0
        more = True
        try:
            while more:
                message = await receive()
                body += message.get("body", b"")
                more = message["type"] == "http.request" and message.get("more_body", False)
                if len(body) > self._limit:
                    return None
                if len(body) > SMALL:
                    self._held += len(body) - counted
                    counted = len(body)
                    if self._held > HELD_MAX:
                        raise CrowdedError
        finally:
            self._held -= counted
        return bytes(body)


class _Replay:
    """Gives the body once, then what the connection says next: that the client has gone."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


async def _refuse(
    scope: Scope, receive: Receive, send: Send, code: Code, detail: str, status: int | None = None
) -> None:
    request_id = scope.get("state", {}).get("request_id", "")
    body = problem_body(code, detail, request_id, status=status)
    headers = problem_headers(code, 0) | {"Connection": "close"}
    await JSONResponse(body, body["status"], headers, MEDIA_TYPE)(scope, receive, send)


def _has_body(scope: Scope) -> bool:
    return any(name in {b"content-length", b"transfer-encoding"} for name, _ in scope["headers"])


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0


def _is_upload(scope: Scope) -> bool:
    """A step of a file's upload goes to the disk while it arrives; its endpoint counts the bytes."""
    path: str = scope["path"]
    return scope["method"] == "PATCH" and path.startswith("/v1/files/")
