"""The only place that knows picows and uvicorn's protocols: `/ws` and `/auth/ws` on the HTTP server's own port.

uvicorn takes a class in `ws=` and gives it the connection and the bytes of the upgrade request. Ours is picows'
protocol, so that a frame costs neither an ASGI message nor a task. It relies on three things of picows 2.3: the order
of WSProtocol's arguments, that it is a BufferedProtocol (get_buffer, buffer_updated), and the names of WSListener's
callbacks; tests/server/realtime/test_front.py checks them at every upgrade of the package.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, Protocol, Self, cast

import structlog
from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
)
from picows.picows import WSAutoPingStrategy, WSProtocol  # type: ignore[attr-defined]

from mensajeria.kit.ids import uuid7_str
from mensajeria.protocol import limits
from mensajeria.protocol.errors import Close, Code
from mensajeria.server.network import client_network
from mensajeria.server.problems import MEDIA_TYPE, problem_body, problem_headers
from mensajeria.server.realtime.gateway import Gateway
from mensajeria.server.realtime.handlers import AuthHandler, DeviceHandler
from mensajeria.server.realtime.wire import Wire

LINGER_S: Final = 3.0
"""How long a closed socket may take to deliver the close frame before it is cut."""
READ_BUFFER: Final = 2048
_BINARY: Final = WSMsgType.BINARY  # up to Python 3.11 an enum gives a member for five times the price of a name
COPIED_BY_SEND: Final = 8192
KEY_CHARS: Final = 24
HEADER_ROOM: Final = 16
"""Of a larger message `WSTransport.send` hands the loop a view of its own header buffer, which the next message
overwrites while uvloop still waits for the socket: from there on the stream is garbage. The other way to send copies
what the socket does not take; it wants room for the WebSocket header in front of the data."""


_log = structlog.get_logger(__name__)


class _Silent(logging.LoggerAdapter[logging.Logger]):
    """What clients do wrong is theirs, and answered with a close code: it is no error of the server for its log.

    An adapter also keeps picows from making a logger for every connection.
    """

    def isEnabledFor(self, _level: int) -> bool:  # noqa: N802 - the standard library's name
        return False

    def info(self, *_arguments: object, **_more: object) -> None:
        """What picows tells of every connection."""


_picows_log: Final = _Silent(logging.Logger("mensajeria.websocket"))  # noqa: LOG001 - outside of the tree on purpose


class _Switching(WSUpgradeResponse):
    """picows' own answer to an upgrade, written for every connection without being put together anew."""

    __slots__ = ()

    def __init__(self) -> None:
        self.status = HTTPStatus.SWITCHING_PROTOCOLS
        self.headers = {}  # type: ignore[assignment]  # for the one header that picows sets, a dict does
        self.body = None

    def to_bytes(self) -> bytearray:
        """The one header that picows has set depends on the request."""
        return bytearray(_SWITCHING % self.headers["Sec-WebSocket-Accept"].encode())


_SWITCHING: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %b\r\n\r\n"
)


class _Plain:
    """A new connection's transport for picows, which asks its socket about buffers and options, for a log line.

    uvloop makes a socket object for each of these questions: two thirds of what taking a connection over costs. What
    picows sets there, an event loop has set already (TCP_NODELAY), or only means the next few packets.
    """

    __slots__ = ("_transport", "get_write_buffer_size")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.get_write_buffer_size = transport.get_write_buffer_size  # asked at every frame

    def __getattr__(self, name: str) -> Any:
        """All else, which is asked for rarely."""
        return getattr(self._transport, name)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """The socket is a stand-in that knows its number."""
        found = self._transport.get_extra_info(name, default)
        return found if name != "socket" or found is None else _Numbered(found.fileno())


class _Numbered:
    """A socket of which only the number counts."""

    __slots__ = ("_number",)

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        """The descriptor."""
        return self._number

    def setsockopt(self, *_option: object) -> None:
        """Nothing is left to set."""

    def getsockopt(self, *_option: object) -> int:
        """For a log that nobody keeps."""
        return 0


class Handler(Protocol):
    """What stands behind a socket."""

    def opened(self, wire: Wire) -> Callable[[bytes], None]:
        """Messages may be sent; returns what is called for each binary message."""
        ...

    def refused(self) -> None:
        """Something else than a binary message in one frame has come."""
        ...

    def gone(self) -> None:
        """The socket is gone. Called once."""
        ...


class Socket(WSListener):
    """A WebSocket as a `Wire`."""

    __slots__ = ("_handler", "_linger", "_message", "_transport")

    def __init__(self, handler: Handler) -> None:
        super().__init__()
        self._handler = handler
        self._transport: WSTransport | None = None
        self._linger: asyncio.TimerHandle | None = None

    # --- picows' callbacks

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The upgrade is done."""
        self._transport = transport
        # The headers of both sides were read at the upgrade; kept, they are a tenth of what an idle connection weighs.
        transport.request.headers.clear()
        transport.response.headers.clear()
        self._message = self._handler.opened(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A WebSocket frame; a message of several is refused: one message is one frame here."""
        kind = frame.msg_type
        if kind == _BINARY and frame.fin:
            self._message(frame.get_payload_as_bytes())
        elif kind == WSMsgType.CLOSE:
            if not transport.is_close_frame_sent:
                transport.send_close(frame.get_close_code())
            transport.disconnect()
        elif kind != WSMsgType.PONG:
            self._handler.refused()

    def on_ws_disconnected(self, _transport: WSTransport) -> None:
        """The socket is gone."""
        if self._linger is not None:
            self._linger.cancel()
        self._handler.gone()

    def pause_writing(self) -> None:
        """The queue is bounded by what `send` returns, not here."""

    def resume_writing(self) -> None:
        """See `pause_writing`."""

    # --- Wire

    def send(self, data: bytes) -> int:
        """See `Wire.send`."""
        transport = self._transport
        assert transport is not None
        if len(data) <= COPIED_BY_SEND:
            transport.send(_BINARY, data)
        else:
            buffer = bytearray(HEADER_ROOM)
            buffer += data
            transport.send_reuse_external_bytearray(_BINARY, buffer, HEADER_ROOM)
        unsent: int = transport.underlying_transport.get_write_buffer_size()
        return unsent

    def pause(self) -> None:
        """See `Wire.pause`."""
        assert self._transport is not None
        if not self._transport.is_disconnected:
            self._transport.underlying_transport.pause_reading()

    def resume(self) -> None:
        """See `Wire.resume`."""
        assert self._transport is not None
        if not self._transport.is_disconnected:
            self._transport.underlying_transport.resume_reading()

    def close(self, code: Close, reason: str = "") -> None:
        """See `Wire.close`."""
        transport = self._transport
        assert transport is not None
        if transport.is_disconnected or transport.is_close_frame_sent:
            return
        transport.send_close(cast("WSCloseCode", int(code)), reason[:100].encode())
        self._linger = asyncio.get_running_loop().call_later(LINGER_S, transport.disconnect, False)  # noqa: FBT003 - picows' own order

    def abort(self) -> None:
        """See `Wire.abort`."""
        if self._transport is not None:
            self._transport.disconnect(graceful=False)


def accept(
    gateway: Gateway, transport: asyncio.BaseTransport, request: WSUpgradeRequest
) -> WSUpgradeResponseWithListener:
    """What becomes of an upgrade request: a listener, or a problem document."""
    path = request.path.partition(b"?")[0]
    if path not in {b"/ws", b"/auth/ws"}:
        return _refusal(Code.NOT_FOUND)
    if not _is_handshake(request):
        return _refusal(Code.MALFORMED)
    if gateway.draining:
        return _refusal(Code.UNAVAILABLE)
    settings = gateway.server.settings
    origin = request.headers.get("origin")
    if origin is not None and origin not in settings.allowed_origins:
        return _refusal(Code.FORBIDDEN)
    if path == b"/ws":
        return WSUpgradeResponseWithListener(_Switching(), Socket(DeviceHandler(gateway)))
    forwarded = ",".join(request.headers.getall("x-forwarded-for", []))
    network = client_network(_peer(transport), forwarded, settings.trusted_proxies)
    return WSUpgradeResponseWithListener(_Switching(), Socket(AuthHandler(gateway, network)))


def _peer(transport: asyncio.BaseTransport) -> str:
    name = transport.get_extra_info("peername")
    return name[0] if isinstance(name, tuple) else ""


def _is_handshake(request: WSUpgradeRequest) -> bool:
    """What picows checks, too, and refuses in its own words; of `Connection` it knows one form only."""
    headers = request.headers
    if headers.get("connection") != "Upgrade":  # Firefox: "keep-alive, Upgrade"
        if "upgrade" not in re.split(r"[\s,]+", ",".join(headers.getall("connection", [])).lower()):
            return False
        headers["connection"] = "Upgrade"
    key = headers.get("sec-websocket-key", "")
    return headers.get("sec-websocket-version") == "13" and len(key) == KEY_CHARS


def _refusal(code: Code) -> WSUpgradeResponseWithListener:
    request_id = uuid7_str()
    body = problem_body(code, "", request_id)
    _log.info("upgrade_refused", request_id=request_id, status=body["status"])
    headers = problem_headers(code, 0) | {"Content-Type": MEDIA_TYPE, "X-Request-Id": request_id}
    answer = WSUpgradeResponse.create_error_response(body["status"], json.dumps(body).encode(), headers)
    return WSUpgradeResponseWithListener(answer, None)


def websocket_protocol(gateway: Callable[[], Gateway]) -> type[asyncio.Protocol]:
    """The class for uvicorn's `ws=`. `gateway` is called at each upgrade: the class is there before the server."""
    return protocol_class(lambda transport, request: accept(gateway(), transport, request))


def protocol_class(listener_for: Callable[[asyncio.BaseTransport, WSUpgradeRequest], Any]) -> type[asyncio.Protocol]:
    """As `websocket_protocol`, for any listeners: `listener_for` gets the connection and the upgrade request."""

    class FrontProtocol(WSProtocol):  # type: ignore[misc]
        """picows' protocol with the constructor and the first bytes as uvicorn gives them."""

        def __new__(cls, **_uvicorn: object) -> Self:
            return cast("Self", WSProtocol.__new__(cls))

        def __init__(self, **_uvicorn: object) -> None:
            super().__init__(*_BEFORE, self._listener, *_AFTER)

        def connection_made(self, transport: asyncio.Transport) -> None:
            """Take a connection over."""
            super().connection_made(_Plain(transport))

        def _listener(self, request: WSUpgradeRequest) -> Any:
            return listener_for(self.transport.underlying_transport, request)

        def data_received(self, data: bytes) -> None:
            """Only the bytes that were already read: the upgrade request."""
            view = memoryview(data)
            while view:
                buffer = self.get_buffer(len(view))
                count = min(len(buffer), len(view))
                buffer[:count] = view[:count]
                self.buffer_updated(count)
                view = view[count:]

    return cast("type[asyncio.Protocol]", FrontProtocol)


# What picows' constructor takes before and behind the function that makes a listener.
_BEFORE: Final = (None, None, False)
_AFTER: Final = (
    *(_picows_log, True, None),  # the upgrade has come, whole, before there is a protocol for it
    *(False, 30.0, 30.0, WSAutoPingStrategy.PING_WHEN_IDLE),  # our own Ping frames are under the MAC
    *(True, limits.MAX_FRAME, None, READ_BUFFER),
)
