"""One device's connection to `/ws`, without its socket: from hello to the frames, and what waits to be sent to it."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, Protocol

import msgspec
import structlog

from mensajeria.protocol import frames, limits
from mensajeria.protocol.codec import HEADER
from mensajeria.protocol.connection import ConnectionClosedError, ServerConnection
from mensajeria.protocol.errors import Close, Code, ProtocolError
from mensajeria.server.accounts.sessions import Login
from mensajeria.server.db.failures import DATABASE_ERRORS
from mensajeria.server.realtime.items import batch_bodies
from mensajeria.server.realtime.throttle import Share, Throttle
from mensajeria.server.realtime.wire import Wire

_log = structlog.get_logger(__name__)
Request = Callable[[], Awaitable[msgspec.Struct | None]]
AGE_SPREAD_S: Final = 2 * 3600
"""Who came together, after a restart, does not go together a day later, but within so long."""


class Host(Protocol):
    """What a connection asks of the server around it."""

    share: Share
    closes: Counter[str]
    """Connections that the server closed, by the code's name."""

    async def admit(self, connection: Connection, hello: frames.Hello) -> tuple[Login, bytes]:
        """Check a hello; the login and the welcome's bytes. Raises ProtocolError."""
        ...

    def joined(self, connection: Connection) -> None:
        """The device has proven its channel key: the hello takes effect."""
        ...

    def left(self, connection: Connection) -> None:
        """The connection is over."""
        ...

    def handle(self, connection: Connection, frame: Any, body: bytes) -> None:
        """A frame has arrived; `body` is its msgpack."""
        ...


class Connection:
    """Created when the socket is open; `receive` gets every message, `disconnected` the end."""

    __slots__ = (
        "_heard",
        "_host",
        "_items",
        "_pinged",
        "_quiet_since",
        "_requests",
        "_task",
        "born",
        "channel",
        "closed",
        "device_id",
        "dirty",
        "login",
        "throttle",
        "typing_tokens",
        "wire",
    )

    def __init__(self, host: Host, wire: Wire, dirty: list[Connection]) -> None:
        """`dirty` is the hub's list of connections with items to send."""
        loop = asyncio.get_running_loop()
        self._host = host
        self.wire = wire
        self.dirty = dirty
        self.channel = ServerConnection()
        self.throttle = Throttle(wire, host.share, loop)
        self.login: Login | None = None
        self.device_id = 0
        self.closed = False
        self.born = loop.time()
        self.typing_tokens: tuple[float, float] | None = None
        self._items: list[bytes] = []
        self._requests: deque[tuple[int, Request]] | None = None  # an empty one is large
        self._task: asyncio.Task[None] | None = None
        self._heard = False
        self._quiet_since = self.born
        self._pinged = False

    # --- from the client

    def receive(self, data: bytes) -> None:
        """Take one WebSocket message. Never raises: what is wrong closes the connection."""
        if self.closed:
            return
        self._heard = True
        try:
            frame = self.channel.receive(data)
            self.throttle.frame()
            if self.device_id:
                self._host.handle(self, frame, data[HEADER:])
            else:
                self._begin(frame, data)
        except ConnectionClosedError as error:
            self.close(error.close, error.detail)
        except Exception:  # noqa: BLE001 - the edge: a fault of ours must end in a close, not in the socket's callback
            _log.exception("frame_failed", **self.names())
            self.close(Close.INTERNAL)

    def _begin(self, frame: frames.ClientFrame, data: bytes) -> None:
        if isinstance(frame, frames.Hello):
            self._task = asyncio.create_task(self._welcome(frame))
            return
        assert self.login is not None
        self.device_id = self.login.device_id
        self._host.joined(self)
        self._host.handle(self, frame, data[HEADER:])

    async def _welcome(self, hello: frames.Hello) -> None:
        try:
            login, welcome = await self._host.admit(self, hello)
        except ProtocolError as error:
            self.close(Close.ROLLED_BACK if error.code is Code.ROLLED_BACK else Close.LOGIN_ENDED, error.code)
        except DATABASE_ERRORS as error:
            _log.warning("hello_failed", error=type(error).__name__)
            self.close(Close.INTERNAL)
        else:
            self._task = None
            if not self.closed:
                self.login = login
                self.wire.send(welcome)

    # --- to the client

    def send(self, frame: msgspec.Struct) -> None:
        """Send a frame now."""
        if not self.closed:
            self._write(self.channel.send(frame))

    def send_body(self, kind: int, body: bytes) -> None:
        """Send a frame whose body is already encoded."""
        if not self.closed:
            self._write(self.channel.send_body(kind, body))

    def queue(self, items: Sequence[bytes]) -> None:
        """Put encoded batch items, one at least, behind the others; `flush` sends them together."""
        waiting = self._items
        if not waiting:
            self.dirty.append(self)
        waiting.extend(items)

    def take_items(self) -> list[bytes]:
        """What was queued; it waits no more."""
        items, self._items = self._items, []
        return items

    def send_batches(self, bodies: Iterable[bytes]) -> None:
        """Send what `take_items` gave, joined (see `items.batch_bodies`)."""
        for body in bodies:
            self.send_body(frames.BATCH, body)

    def flush(self) -> None:
        """Send what was queued, in as few frames as fit."""
        if items := self.take_items():
            self.send_batches(batch_bodies(items))

    def _write(self, data: bytes) -> None:
        if self.wire.send(data) > limits.OUTBOUND_QUEUE_BYTES:
            # What waits is lost, and may be: the log and the mailbox have it.
            self.close(Close.SLOW_READER)

    # --- requests, one after the other

    def request(self, rid: int, request: Request) -> None:
        """Answer a request in its turn; what it returns is sent. A failure becomes an `error` with `rid`."""
        if self._requests is None:
            self._requests = deque()
        self._requests.append((rid, request))
        self.throttle.request_begins()
        if self._task is None:
            self._task = asyncio.create_task(self._answer())

    async def _answer(self) -> None:
        try:
            while self._requests and not self.closed:
                rid, request = self._requests.popleft()
                frame = await self._answer_to(rid, request)
                self.throttle.request_ends()
                if frame is not None:
                    self.send(frame)
        finally:
            self._task = self._requests = None

    async def _answer_to(self, rid: int, request: Request) -> msgspec.Struct | None:
        try:
            return await request()
        except ProtocolError as error:
            return frames.Error(rid, error.code, error.detail[:256], min(error.retry_after_ms, (1 << 32) - 1))
        except DATABASE_ERRORS as error:
            _log.warning("request_failed", error=type(error).__name__, **self.names())
            return frames.Error(rid, Code.UNAVAILABLE, "", 1000)
        except Exception:  # noqa: BLE001 - whatever failed fails this request alone
            _log.exception("request_failed", **self.names())
            return frames.Error(rid, Code.INTERNAL)

    # --- time and end

    def tick(self, now: float) -> None:
        """Called about every second: hello in time, a sign of life, not too old."""
        if not self.device_id:
            if now - self.born > limits.HELLO_TIMEOUT_S:
                self.close(Close.HELLO_TIMEOUT)
            return
        if now - self.born > limits.MAX_CONNECTION_AGE_S - self.device_id % AGE_SPREAD_S:
            self.close(Close.TOO_OLD)
        elif self._heard:
            self._heard = self._pinged = False
            self._quiet_since = now
        elif now - self._quiet_since > limits.PING_EVERY_S + limits.PONG_TIMEOUT_S:
            self.close(Close.GOING_AWAY, "no sign of life")
        elif not self._pinged and now - self._quiet_since > limits.PING_EVERY_S:
            self._pinged = True
            self.send(frames.Ping(0))

    def close(self, code: Close, reason: str = "") -> None:
        """Close for good. Nothing more is read or sent."""
        if not self.closed:
            self.closed = True
            self._host.closes[code.name] += 1
            self._end()
            _log.debug("connection_closed", code=code.name, reason=reason, **self.names())
            self.wire.close(code, reason)

    def end_login(self, code: str) -> None:
        """The login is over, because of `code`: say so to a device that is there, and close."""
        if self.device_id:
            self.send(frames.SessionEnded(code))
        self.close(Close.LOGIN_ENDED, code)

    def disconnected(self) -> None:
        """The socket is gone."""
        if not self.closed:
            self.closed = True
            self._end()

    def _end(self) -> None:
        self._items.clear()
        if self._requests is not None:
            self._requests.clear()
        self.throttle.stop()
        self._host.left(self)

    def names(self) -> dict[str, str]:
        """What a log line may say about this connection."""
        return {} if self.login is None else {"uid": self.login.uid.hex(), "did": self.login.did.hex()}
