"""An evil server: the real application in this process, with one hostile rule where a server could lie.

A server knows the channel key of every device, so that it can lie before the frame's MAC is computed; somebody on the
network cannot, and changes bytes after it. Both are here:

- `Rule` sees what the server sends, decoded: frames, batch items, REST answers, answers on `/auth/ws`, the welcome;
- `Network` sees the bytes of the frames in both directions;
- `EvilServer.database` opens the server's own database for a change of what is stored.

Nothing else of the application is replaced: routes, gateway, hub, commits and limits are the ones people run.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import jwt
import msgspec
import uvicorn

from mensajeria.kit.clock import Clock
from mensajeria.protocol import auth, frames
from mensajeria.protocol.auth import decode_from_server, encode_auth
from mensajeria.protocol.codec import decode_plain, encode_plain
from mensajeria.protocol.frames import Batch, BatchItem, Envelope, Event, Events, Hello, MailPage, NewChat, SyncPage
from mensajeria.protocol.ids import unb64
from mensajeria.server.accounts.auth_socket import AuthReply, AuthSession
from mensajeria.server.accounts.sessions import Login
from mensajeria.server.main import create_app
from mensajeria.server.realtime.connection import Connection
from mensajeria.server.realtime.gateway import Gateway
from mensajeria.server.realtime.picows_front import accept, protocol_class
from mensajeria.server.realtime.wire import Wire
from mensajeria.server.serve import listen
from mensajeria.server.settings import Settings

Json = dict[str, Any]


class Rule:
    """What the server does to what it sends. This one is honest; each attack changes one method.

    `to` and `by` are user ids: a server may tell different people different things.
    """

    def event(self, to: bytes, event: Event) -> Iterable[Event]:
        """A row of a log, pushed or fetched."""
        yield event

    def envelope(self, to: bytes, envelope: Envelope) -> Iterable[Envelope]:
        """A to-device envelope, pushed or fetched."""
        yield envelope

    def head(self, to: bytes, head: frames.Head) -> frames.Head:
        """The head of a chat."""
        return head

    def item(self, to: bytes, item: BatchItem) -> Iterable[BatchItem]:
        """Any batch item; rows, envelopes and heads go on to their own methods."""
        match item:
            case Event():
                yield from self.event(to, item)
            case Envelope():
                yield from self.envelope(to, item)
            case NewChat(head):
                yield NewChat(self.head(to, head))
            case _:
                yield item

    def frame(self, to: bytes, frame: msgspec.Struct) -> Iterable[msgspec.Struct]:
        """Any frame; what it holds goes on to the other methods."""
        match frame:
            case Batch(items):
                kept = tuple(lie for item in items for lie in self.item(to, item))
                if kept:
                    yield Batch(kept)
            case Events():
                rows = tuple(lie for event in frame.events for lie in self.event(to, event))
                yield msgspec.structs.replace(frame, events=rows)
            case MailPage():
                blobs = tuple(lie for envelope in frame.envelopes for lie in self.envelope(to, envelope))
                yield msgspec.structs.replace(frame, envelopes=blobs)
            case SyncPage():
                yield msgspec.structs.replace(frame, heads=tuple(self.head(to, head) for head in frame.heads))
            case _:
                yield frame

    def received(self, by: bytes, frame: msgspec.Struct) -> Iterable[msgspec.Struct] | None:
        """A verified frame of a device. None: the server does its work; else only these frames are its answer."""
        return None

    def welcome(self, to: bytes, welcome: bytes) -> bytes:
        """The proof of the channel key."""
        return welcome

    def epoch(self, to: bytes, epoch: int) -> int:
        """The restore epoch, before the proof is computed over it."""
        return epoch

    def rest(self, to: bytes | None, method: str, path: str, answer: Json) -> Json:
        """A JSON answer of `/v1`, errors too. What is not the same object is sent as a success."""
        return answer

    def blob(self, to: bytes | None, path: str, content: bytes) -> bytes:
        """The bytes of a file, whole or the part that was asked for. What the headers say of them stays."""
        return content

    def auth(self, message: auth.ServerAuth) -> auth.ServerAuth:
        """A message on `/auth/ws`."""
        return message


class Network:
    """What somebody between client and server does to the bytes of frames. This one does nothing."""

    def to_client(self, did: bytes, data: bytes) -> Iterable[bytes]:
        """A WebSocket message from the server; `did` is empty before the hello."""
        yield data

    def to_server(self, did: bytes, data: bytes) -> Iterable[bytes]:
        """A WebSocket message from the client."""
        yield data


@dataclass
class Seen:
    """What passed: frames with their direction before TLS, REST bodies, to whom envelopes went."""

    wire: list[bytes] = field(default_factory=list)
    rest: list[bytes] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    """(method, path) of every REST call."""
    auth: list[bytes] = field(default_factory=list)
    from_clients: list[tuple[bytes, msgspec.Struct]] = field(default_factory=list)
    """(uid, frame) of every verified frame."""

    def frames_of(self, uid: bytes, kind: type[Any]) -> list[Any]:
        """Frames of one kind that a user has sent."""
        return [frame for by, frame in self.from_clients if by == uid and isinstance(frame, kind)]

    def written_to(self, uid: bytes) -> set[bytes]:
        """Devices for which a user has sent envelopes."""
        return {target.did for frame in self.frames_of(uid, frames.PutDevice) for target in frame.targets}


class EvilServer:
    """The application on a free port of 127.0.0.1, from `start` to `stop`."""

    def __init__(self, data: Path, *, clock: Clock | None = None, port: int = 0) -> None:
        self.data = data
        self.rule = Rule()
        self.network = Network()
        self.seen = Seen()
        self._settings = Settings.model_validate({"data_dir": data, "log_level": "debug"})
        self._clock = clock
        self._socket = listen("127.0.0.1", port)
        self.port: int = self._socket.getsockname()[1]
        self._app = create_app(self._settings, clock)
        self._uvicorn: uvicorn.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def gateway(self) -> Gateway:
        """The real gateway."""
        return cast("Gateway", self._app.state.gateway)

    @property
    def server(self) -> Any:
        """The real services."""
        return self._app.state.server

    async def start(self) -> None:
        config = uvicorn.Config(
            self._rest,
            ws=protocol_class(
                lambda transport, request: accept(cast("Gateway", _LyingGateway(self)), transport, request)
            ),
            interface="asgi3",
            proxy_headers=False,
            lifespan="on",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
        )
        # What uvicorn's `serve` does, without its signals and without the tenth of a second in which it looks for them.
        config.load()
        self._uvicorn = uvicorn.Server(config)
        self._uvicorn.lifespan = config.lifespan_class(config)
        with contextlib.suppress(SystemExit):  # uvicorn has logged why
            await self._uvicorn.startup(sockets=[self._socket])
        assert self._uvicorn.started, "the application did not start"

    async def stop(self) -> None:
        assert self._uvicorn is not None
        await self._uvicorn.shutdown(sockets=[self._socket])
        self._socket.close()

    async def tell(self, uid: bytes, frame: msgspec.Struct) -> None:
        """Send a frame out of the blue to every connected device of a user; the rule does not see it."""
        for connection in self.connections(uid):
            Connection.send(connection, frame)
        await asyncio.sleep(0)

    def connections(self, uid: bytes) -> list[Connection]:
        """Connected devices of a user."""
        return [
            connection
            for connection in self.gateway.hub.all
            if connection.device_id and connection.login is not None and connection.login.uid == uid
        ]

    def drop_connections(self) -> None:
        """Cut everybody off."""
        for connection in list(self.gateway.hub.all):
            connection.wire.abort()

    @contextlib.contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        """The server's database, behind its back; committed at the end of the block."""
        connection = sqlite3.connect(self.data / "mensajeria.db", timeout=10)
        try:
            with connection:
                yield connection
        finally:
            connection.close()

    # --- REST

    async def _rest(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self.seen.calls.append((scope["method"], scope["path"]))
        answer = _Answer(self, scope, send)
        await self._app(scope, _recording(receive, self.seen.rest), answer.take)


def _recording(receive: Any, seen: list[bytes]) -> Any:
    async def recorded() -> Any:
        message = await receive()
        if message["type"] == "http.request" and message.get("body"):
            seen.append(message["body"])
        return message

    return recorded


class _Answer:
    """Collects a response, lets the rule change it, and sends it."""

    def __init__(self, evil: EvilServer, scope: Any, send: Any) -> None:
        self._evil = evil
        self._scope = scope
        self._send = send
        self._start: Any = None
        self._body = b""

    async def take(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._body += message.get("body", b"")
        if message.get("more_body"):
            return
        body = self._changed()
        headers = [(name, value) for name, value in self._start["headers"] if name != b"content-length"]
        headers.append((b"content-length", str(len(body)).encode()))
        await self._send({**self._start, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    def _changed(self) -> bytes:
        self._evil.seen.rest.append(self._body)
        if (b"content-type", b"application/octet-stream") in self._start["headers"]:
            return self._evil.rule.blob(self._caller(), self._scope["path"], self._body)
        if not self._body.startswith(b"{"):
            return self._body
        answer, path = json.loads(self._body), self._scope["path"]
        changed = self._evil.rule.rest(self._caller(), self._scope["method"], path, answer)
        if changed is not answer:
            self._start = {**self._start, "status": 200}
        return json.dumps(changed).encode()

    def _caller(self) -> bytes | None:
        for name, value in self._scope["headers"]:
            if name == b"authorization":
                with contextlib.suppress(jwt.InvalidTokenError, KeyError):
                    claims = jwt.decode(value.decode().removeprefix("Bearer "), options={"verify_signature": False})
                    return unb64(claims["sub"])
        return None


# --- frames


class _LyingConnection(Connection):
    """A connection whose frames pass the rule before they are sealed, and the network after that."""

    __slots__ = ("_evil",)

    def __init__(self, gateway: _LyingGateway, evil: EvilServer, wire: Wire) -> None:
        super().__init__(cast("Any", gateway), cast("Wire", _NetworkWire(wire, evil, self)), evil.gateway.hub.dirty)
        self._evil = evil

    def receive(self, data: bytes) -> None:
        self._evil.seen.wire.append(data)
        for piece in self._evil.network.to_server(self.did, data):
            super().receive(piece)

    def send(self, frame: msgspec.Struct) -> None:
        assert self.login is not None
        for lie in self._evil.rule.frame(self.login.uid, frame):
            super().send(lie)

    def send_body(self, kind: int, body: bytes) -> None:
        self.send(msgspec.msgpack.decode(body, type=frames.FRAMES[kind]))

    @property
    def did(self) -> bytes:
        return b"" if self.login is None else self.login.did


class _NetworkWire:
    """A wire on which somebody sits."""

    def __init__(self, wire: Wire, evil: EvilServer, connection: _LyingConnection) -> None:
        self._wire = wire
        self._evil = evil
        self._connection = connection
        for name in ("pause", "resume", "close", "abort"):
            setattr(self, name, getattr(wire, name))

    def send(self, data: bytes) -> int:
        unsent = 0
        for piece in self._evil.network.to_client(self._connection.did, data):
            self._evil.seen.wire.append(piece)
            unsent = self._wire.send(piece)
        return unsent


class _LyingGateway:
    """The real gateway, but for the three places where a server can lie about a connection."""

    def __init__(self, evil: EvilServer) -> None:
        self._evil = evil
        self.server = types.SimpleNamespace(
            settings=evil.server.settings,
            auth_session=lambda network: _LyingTalk(evil, evil.server.auth_session(network)),
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._evil.gateway, name)

    def connection(self, wire: Wire) -> Connection:
        connection = _LyingConnection(self, self._evil, wire)
        self._evil.gateway.hub.all.add(connection)
        return connection

    async def admit(self, connection: Connection, hello: Hello) -> tuple[Login, bytes]:
        rule, facts = self._evil.rule, self._evil.server.facts
        uid = (await self._evil.server.authenticator.authenticate_fresh(hello.jwt, hello.did)).uid
        self._evil.server.facts = replace(facts, restore_epoch=rule.epoch(uid, facts.restore_epoch))
        try:
            login, welcome = await self._evil.gateway.admit(connection, hello)
        finally:
            self._evil.server.facts = facts
        return login, rule.welcome(login.uid, welcome)

    def handle(self, connection: Connection, frame: Any, body: bytes) -> None:
        assert connection.login is not None
        self._evil.seen.from_clients.append((connection.login.uid, frame))
        answers = self._evil.rule.received(connection.login.uid, frame)
        if answers is None:
            self._evil.gateway.handle(connection, frame, body)
            return
        for answer in answers:
            Connection.send(connection, answer)


class _LyingTalk:
    """A conversation on `/auth/ws` whose answers pass the rule."""

    def __init__(self, evil: EvilServer, session: AuthSession) -> None:
        self._evil = evil
        self._session = session

    def greeting(self) -> bytes:
        return self._lie(self._session.greeting())

    async def on_message(self, data: bytes) -> AuthReply:
        self._evil.seen.auth.append(data)
        reply = await self._session.on_message(data)
        return AuthReply(tuple(self._lie(frame) for frame in reply.frames), reply.close)

    def _lie(self, data: bytes) -> bytes:
        told = encode_auth(self._evil.rule.auth(decode_from_server(data)))
        self._evil.seen.auth.append(told)
        return told


def other_welcome(welcome: bytes, **changes: Any) -> bytes:
    """A welcome with other fields; its proof is not computed anew."""
    return encode_plain(msgspec.structs.replace(decode_plain(welcome, frames.Welcome), **changes))


def flipped(data: bytes, offset: int, bit: int = 0) -> bytes:
    """The bytes with one bit changed; the offset wraps around."""
    at = offset % len(data)
    return data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]
