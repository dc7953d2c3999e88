"""This project's server with everything on: MAC both ways, authorisation, idempotency, receipts, metrics."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, cast

import msgspec
from picows import WSFrame, WSListener, WSTransport, ws_connect
from sqlalchemy import Connection

from benchmarks.lib.peer import OnBody, Peer, Session, count
from benchmarks.peers.bare_server import BINARY
from mensajeria.client.engine.told import PAUSE_S
from mensajeria.protocol import frames, limits
from mensajeria.protocol.connection import ClientConnection
from mensajeria.protocol.records import MessageOuter
from mensajeria.server.version import VERSION
from tests.server.fixtures import migrate_in_a_process
from tests.server.people import Person, insert_direct_chat, insert_group
from tests.server.process import ServerProcess, World, start_server_process
from tests.support.lifeline import Run
from tests.support.valkey import ValkeyServer, start_valkey

_outer: Final = msgspec.msgpack.Decoder(MessageOuter)
_ZERO32: Final = bytes(32)
SETTINGS: Final = {"MENSAJERIA_LOG_LEVEL": "warning", "MENSAJERIA_METRICS_PORT": "0"}
STORES_S: Final = 0.02
"""How long after a message its receiver first says how far it is: a client stores first."""


class OurSession(WSListener):
    """A device. What it gets is checked: the MACs, and that no chat's numbers have a gap."""

    def __init__(self, channel: ClientConnection, on_body: OnBody, *, receipts: bool) -> None:
        super().__init__()
        self._channel = channel
        self._on_body = on_body
        self._receipts = receipts
        self._seqs: dict[bytes, int] = {}
        self._said: dict[bytes, int] = {}
        self._saying: asyncio.TimerHandle | None = None
        self._number = 0
        self._mids = secrets.token_bytes(8)
        self.chats: dict[int, bytes] = {}
        self.group = b""
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._gone = asyncio.Event()
        self._transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        transport.send(BINARY, self._channel.hello())

    def on_ws_disconnected(self, _transport: WSTransport) -> None:
        self._gone.set()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type != BINARY:
            raise RuntimeError(f"closed: {frame}")
        received: Any = self._channel.receive(frame.get_payload_as_bytes())
        if type(received) is frames.Batch:
            self._items(received.items)
        elif not self.ready.done():
            if isinstance(received, frames.Pong):
                self.ready.set_result(None)
            else:
                transport.send(BINARY, self._channel.send(frames.Ping(1)))

    def _items(self, items: Sequence[frames.BatchItem]) -> None:
        seqs = self._seqs
        for item in items:
            if type(item) is frames.Event:
                self._on_body(_outer.decode(item.body).ct[:8])
            elif type(item) is frames.PeerCursor:
                continue
            elif type(item) is not frames.Ack:
                raise RuntimeError(f"unexpected {item}")
            if item.seq != seqs.get(item.chat_id, 0) + 1:
                raise RuntimeError(f"{item.seq} after {seqs.get(item.chat_id, 0)}")
            seqs[item.chat_id] = item.seq
        if self._receipts and not self._saying and type(items[-1]) is frames.Event:
            self._saying = asyncio.get_running_loop().call_later(STORES_S, self._say)

    def says_how_far(self, *, members: int) -> None:
        """As the client (`Memberships.shows_delivered`): nothing in a group so large that nobody is shown it."""
        self._receipts &= members <= limits.READ_RECEIPTS_MEMBERS

    def _say(self) -> None:
        """As the client (`engine.told`): at once, and while more comes, after a pause."""
        news = [(chat_id, seq) for chat_id, seq in self._seqs.items() if self._said.get(chat_id) != seq]
        if not news or self._gone.is_set():
            self._saying = None
            return
        for chat_id, seq in news:
            self._said[chat_id] = seq
            self._send(frames.Cursor(chat_id, seq))
        self._saying = asyncio.get_running_loop().call_later(PAUSE_S, self._say)

    def _send(self, frame: msgspec.Struct) -> None:
        assert self._transport is not None
        self._transport.send(BINARY, self._channel.send(frame))

    def send(self, to: int, body: bytes) -> None:
        self._message(self.chats[to], body)

    def send_group(self, body: bytes) -> None:
        self._message(self.group, body)

    def _message(self, chat_id: bytes, body: bytes) -> None:
        self._number += 1
        mid = self._mids + self._number.to_bytes(8, "big")
        self._send(MessageOuter(1, 1, chat_id, 0, _ZERO32, self._number, mid, body, _ZERO32, 0))

    async def close(self) -> None:
        assert self._transport is not None
        self._transport.disconnect()
        await self._gone.wait()


class Ours(Peer):
    """On PostgreSQL."""

    name = "ours"
    durability = "PostgreSQL, fsync on: group commit before ack and push"
    receipts: ClassVar[bool] = True

    def __init__(self, folder: Path, own: Run) -> None:
        super().__init__(folder, own)
        self.url = ""
        self.servers: list[ServerProcess] = []
        self.people: list[Person] = []
        self._worlds: list[World] = []

    def version(self) -> str:
        return VERSION

    def start(self) -> None:
        self.url = self.database()
        self.servers = [start_server_process(self.folder / "data", self.url or None, settings=SETTINGS)]

    def database(self) -> str:
        """A fresh database; "" is the server's own."""
        return self.start_postgres().create_database("bench")

    def stop(self) -> None:
        for server in self.servers:
            with contextlib.suppress(ProcessLookupError):
                server.stop()

    def roots(self) -> dict[str, int]:
        return {"server": self.servers[0].process.pid, **self.postgres_root()}

    async def prepare(self, users: int) -> None:
        self._worlds = [await World.of(server) for server in self.servers]
        self.people = await self._worlds[0].people(users)

    def world(self, *, receives: bool) -> World:
        """The process that a user connects to."""
        del receives
        return self._worlds[0]

    async def session(self, user: int, on_body: OnBody, *, receives: bool) -> Session:
        world, person = self.world(receives=receives), self.people[user]
        channel = ClientConnection(
            person.ck,
            did=person.did,
            jwt=world.token(person),
            nonce=secrets.token_bytes(32),
            gen=0,
            server_id=world.facts.server_id,
        )
        receipts = self.receipts and receives
        _, session = await ws_connect(
            lambda: OurSession(channel, on_body, receipts=receipts),
            world.server.websocket,
            websocket_handshake_timeout=60,
        )
        assert isinstance(session, OurSession)
        await session.ready
        return session

    async def link(self, pairs: Sequence[tuple[Session, Session]]) -> None:
        world = self._worlds[0]
        couples = [(number, number + len(pairs)) for number in range(len(pairs))]

        def make(db: Connection) -> list[bytes]:
            server_id = world.facts.server_id
            return [insert_direct_chat(db, server_id, self.people[a], self.people[b])[1] for a, b in couples]

        for (sender, _), (_, to), chat_id in zip(pairs, couples, await world.server.db(make), strict=True):
            cast("OurSession", sender).chats[to] = chat_id

    async def group(self, sessions: Sequence[Session]) -> None:
        chat_id = secrets.token_bytes(32)
        await self._worlds[0].server.db(lambda db: insert_group(db, chat_id, self.people[: len(sessions)]))
        for session in sessions:
            cast("OurSession", session).says_how_far(members=len(sessions))
        cast("OurSession", sessions[0]).group = chat_id

    async def stored(self) -> int | None:
        return await count(self.url, "event")


class OursSqlite(Ours):
    """On SQLite: the server as it is without any configuration."""

    name = "ours-sqlite"
    durability = "SQLite, WAL, synchronous=FULL: group commit before ack and push"

    def database(self) -> str:
        return ""

    async def stored(self) -> int | None:
        with contextlib.closing(sqlite3.connect(self.folder / "data" / "mensajeria.db")) as connection:
            return int(connection.execute("SELECT count(*) FROM event").fetchone()[0])


class OursSilent(Ours):
    """Receivers that never say how far they are: what receipts cost."""

    name = "ours-no-receipts"
    durability = "as ours; receivers send no receipts"
    receipts = False


class OursTwo(Ours):
    """Two processes that share PostgreSQL and Valkey: senders on one, receivers on the other."""

    name = "ours-two"
    durability = "as ours; two processes joined by Valkey, every message crosses"
    works: ClassVar[tuple[str, ...]] = ("W1", "W2", "10k")

    def __init__(self, folder: Path, own: Run) -> None:
        super().__init__(folder, own)
        self.valkey: ValkeyServer | None = None

    def start(self) -> None:
        self.url = self.database()
        self.valkey = start_valkey(self.own)
        migrate_in_a_process(self.url)
        settings = {**SETTINGS, "MENSAJERIA_REDIS_URL": self.valkey.url}
        self.servers = [start_server_process(self.folder / "data", self.url, settings=settings) for _ in range(2)]

    def roots(self) -> dict[str, int]:
        assert self.valkey is not None
        both = {f"server{number}": server.process.pid for number, server in enumerate(self.servers, 1)}
        return {**both, **self.postgres_root(), "valkey": self.valkey.pid()}

    def world(self, *, receives: bool) -> World:
        return self._worlds[1 if receives else 0]
