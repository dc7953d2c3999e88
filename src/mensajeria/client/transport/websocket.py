"""The one place that touches picows: a client WebSocket as plain `receive`, `send` and `close`."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import deque
from typing import Final
from urllib.parse import SplitResult, urlsplit

from picows import WSCloseCode, WSError, WSFrame, WSListener, WSMsgType, WSTransport
from picows.picows import WSAutoPingStrategy, WSProtocol  # type: ignore[attr-defined]

from mensajeria.client.errors import NetworkError
from mensajeria.protocol.errors import Close

CONNECT_TIMEOUT_S: Final = 10.0
NO_CLOSE_FRAME: Final = 1006
_PAUSE_READING_ABOVE: Final = 8 << 20
_RESUME_READING_BELOW: Final = 2 << 20
_CLOSE_CODE: Final = 2
READ_BUFFER: Final = 16 << 10
_picows_log: Final = logging.getLogger("picows.client")


class ConnectionLostError(Exception):
    """The connection is over. `code` is the close code of the other side, 1006 when there was none."""

    def __init__(self, code: int) -> None:
        super().__init__(f"connection closed: {code}")
        self.code = code


class WebSocket(WSListener):
    """A connected socket. Messages are kept in order until received; a slow owner makes the socket stop reading.

    For one task that receives; `send` and `close` may be called from anywhere in the loop.
    """

    def __init__(self, max_message: int) -> None:
        super().__init__()
        self._max = max_message
        self._messages: deque[bytes] = deque()
        self._bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._transport: WSTransport | None = None
        self._paused = False
        self._closed: int | None = None
        self._close_code = NO_CLOSE_FRAME

    # --- what the owner calls ---

    async def receive(self) -> bytes:
        """The next message. Raises ConnectionLostError once everything that arrived was handed out."""
        while not self._messages:
            if self._closed is not None:
                raise ConnectionLostError(self._closed)
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._pop()

    def receive_now(self) -> bytes | None:
        """The next message if it is already here."""
        return self._pop() if self._messages else None

    def send(self, data: bytes) -> None:
        """Queue one binary message; nothing happens once the connection is over (its end is told by `receive`)."""
        if self._transport is not None and self._closed is None:
            self._transport.send(WSMsgType.BINARY, data)

    async def drained(self) -> None:
        """Wait until the system takes more data, so that a fast sender does not pile up memory."""
        if self._writable is not None and self._closed is None:
            await asyncio.shield(self._writable)

    def close(self, code: int = Close.NORMAL) -> None:
        """End the connection. `receive` still hands out what had arrived."""
        if self._transport is not None and self._closed is None:
            self._transport.send_close(code)  # type: ignore[arg-type]  # any 16-bit number
            self._transport.disconnect()
            self._finish(code)

    # --- what picows calls ---

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The handshake is done."""
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """One frame; ours are never fragmented, so that a fragment is a peer that speaks another protocol."""
        if frame.msg_type == WSMsgType.BINARY and frame.fin and frame.payload_size <= self._max:
            self._push(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            payload = frame.get_payload_as_bytes()
            code = int.from_bytes(payload[:_CLOSE_CODE], "big") if len(payload) >= _CLOSE_CODE else Close.NORMAL
            self._close_code = code
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()
        elif frame.msg_type not in {WSMsgType.PING, WSMsgType.PONG}:
            self.close(Close.MALFORMED)

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002 - picows' signature
        """The socket is gone."""
        self._finish(self._close_code)

    def pause_writing(self) -> None:
        """The system's buffer is full."""
        if self._writable is None:
            self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """The system takes more."""
        if self._writable is not None:
            self._writable.set_result(None)
            self._writable = None

    # --- inside ---

    def _push(self, data: bytes) -> None:
        self._messages.append(data)
        self._bytes += len(data)
        if self._bytes > _PAUSE_READING_ABOVE and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.underlying_transport.pause_reading()
        self._wake()

    def _pop(self) -> bytes:
        data = self._messages.popleft()
        self._bytes -= len(data)
        if self._paused and self._bytes < _RESUME_READING_BELOW and self._transport is not None:
            self._paused = False
            if self._closed is None:
                self._transport.underlying_transport.resume_reading()
        return data

    def _finish(self, code: int) -> None:
        if self._closed is None:
            self._closed = code
            self.resume_writing()
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


async def connect(url: str, *, tls: ssl.SSLContext | None, max_message: int) -> WebSocket:
    """Open a WebSocket. Cancelled in the middle, it leaves no socket behind.

    Raises:
        NetworkError: network, timeout, tls or not_a_server.
    """
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            return await _opened(urlsplit(url), tls, max_message)
    except ssl.SSLError as error:
        raise NetworkError("tls", str(error)) from error
    except TimeoutError as error:
        raise NetworkError("timeout", "no answer") from error
    except WSError as error:
        raise NetworkError("not_a_server", str(error).split("\n", 1)[0]) from error
    except (OSError, EOFError) as error:
        raise NetworkError("network", str(error)) from error


async def _opened(url: SplitResult, tls: ssl.SSLContext | None, max_message: int) -> WebSocket:
    """As picows' `ws_connect` for a server without proxy and redirects, which forgets its socket when cancelled."""
    secure = url.scheme == "wss"
    path = url.path + (f"?{url.query}" if url.query else "")
    arguments = (
        *(url.netloc, path, True, lambda: WebSocket(max_message), _picows_log, True, CONNECT_TIMEOUT_S),
        *(False, 10.0, 10.0, WSAutoPingStrategy.PING_WHEN_IDLE),  # our own Ping frames are under the MAC
        *(True, max_message, None, READ_BUFFER),
    )
    made: list[WSProtocol] = []

    def protocol() -> WSProtocol:
        made.append(WSProtocol(*arguments))
        return made[-1]

    loop = asyncio.get_running_loop()
    port = url.port or (443 if secure else 80)
    try:
        await loop.create_connection(protocol, url.hostname or "", port, ssl=(tls or True) if secure else None)
        await made[-1].wait_until_handshake_complete()
    except BaseException:
        for one in made:
            if one.transport is not None:
                one.transport.underlying_transport.abort()
        raise
    socket = made[-1].listener
    assert isinstance(socket, WebSocket)
    return socket
