"""The first bytes of a connection say who reads on: picows for an upgrade to a WebSocket, uvicorn for all else.

uvicorn reads an upgrade with its own parser, writes it down again and hands it on to be parsed once more. A whole
upgrade request is recognised here and goes straight to the WebSocket's protocol
(docs/decisions/0023-upgrades-go-straight-to-the-websocket.md). Whatever is not exactly that (in pieces, with bytes
behind it or a body, another path) takes uvicorn's way, which ends in the same protocol.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

import uvicorn
from uvicorn.server import ServerState

from mensajeria.server import http_front
from mensajeria.server.http_front import BoundedHttp

UPGRADE_MAX: Final = 4096
"""Bytes of an upgrade that goes straight. Our clients' have 300."""
_REQUEST: Final = re.compile(
    rb"GET /(?:auth/)?ws(?:\?[!-~]*+)? HTTP/1\.1\r\n"
    rb"(?:(?!(?i:content-length|transfer-encoding):)[!-9;-~]++:[\t -~]*+\r\n)++\r\n"
)
_UPGRADE: Final = re.compile(rb"\r\nupgrade:[\t ]*websocket\r\n", re.IGNORECASE)


def is_upgrade(data: bytes) -> bool:
    """Whether this is a whole upgrade request for one of our sockets, and nothing else."""
    return len(data) <= UPGRADE_MAX and bool(_REQUEST.fullmatch(data)) and bool(_UPGRADE.search(data))


class FirstBytes(asyncio.Protocol):
    """For uvicorn's `http=`: waits for the first bytes, then another protocol has the connection."""

    __slots__ = ("_app_state", "_config", "_deadline", "_loop", "_server_state", "_transport")

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """As uvicorn calls its own."""
        self._config = config
        self._server_state = server_state
        self._app_state = app_state
        self._loop = _loop or asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait, but not for ever; the server may end meanwhile."""
        self._transport = transport
        self._deadline = self._loop.call_later(http_front.HEAD_S, transport.close)
        self._server_state.connections.add(self)  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        """Choose who reads on."""
        self._leave()
        transport = self._transport
        protocol: Any
        if is_upgrade(data):
            protocol = self._config.ws_protocol_class()  # type: ignore[misc]
        else:
            protocol = BoundedHttp(self._config, self._server_state, self._app_state, self._loop)
        protocol.connection_made(transport)
        transport.set_protocol(protocol)
        protocol.data_received(data)

    def connection_lost(self, _error: Exception | None) -> None:
        """Gone, without a word."""
        self._leave()

    def shutdown(self) -> None:
        """The server ends."""
        self._transport.close()

    def _leave(self) -> None:
        self._deadline.cancel()
        self._server_state.connections.discard(self)
