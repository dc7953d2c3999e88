"""The bare server: what the same stack does with nothing but the hot path, as the limit to compare ours with.

Message in, group commit with a sequence number per chat, ack, push; no MAC, no accounts, no authorisation, no
idempotency, no receipts. User n of the first half writes to user n of the second in chat n; chat GROUP is everybody's.
`--database none` numbers messages in memory and stores nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Final, Protocol

import asyncpg
import msgspec
import uvicorn
from fastapi import FastAPI
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest

from mensajeria.server.db.sqlite_writer import PRAGMAS
from mensajeria.server.realtime.picows_front import protocol_class
from mensajeria.server.serve import tune_interpreter

GROUP: Final = 1_000_000
BINARY: Final = WSMsgType.BINARY
"""Of everything that is measured alike: looking it up in the enum costs as much as a small function."""
MAX_BATCH: Final = 1024
_POSTGRES: Final = """
CREATE TABLE bare_chat (id int PRIMARY KEY, last_seq bigint NOT NULL) WITH (fillfactor = 50);
CREATE TABLE bare_message (chat int NOT NULL, seq bigint NOT NULL, mid bytea NOT NULL, ts bigint NOT NULL,
  body bytea NOT NULL, PRIMARY KEY (chat, seq));
CREATE UNIQUE INDEX bare_mid ON bare_message (chat, mid);
"""
_APPEND: Final = """
WITH m AS (SELECT * FROM unnest($1::int[], $2::bytea[], $3::bigint[], $4::bytea[])
  WITH ORDINALITY AS t(chat, mid, ts, body, ord)),
k AS (SELECT chat, count(*) AS k FROM m GROUP BY chat),
u AS (UPDATE bare_chat c SET last_seq = c.last_seq + k.k FROM k WHERE c.id = k.chat
  RETURNING c.id, c.last_seq - k.k AS base)
INSERT INTO bare_message (chat, seq, mid, ts, body)
SELECT m.chat, u.base + row_number() OVER (PARTITION BY m.chat ORDER BY m.ord), m.mid, m.ts, m.body
FROM m JOIN u ON u.id = m.chat RETURNING mid, seq"""
_SQLITE: Final = """
CREATE TABLE bare_chat (id INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL);
CREATE TABLE bare_message (chat INTEGER NOT NULL, seq INTEGER NOT NULL, mid BLOB NOT NULL, ts INTEGER NOT NULL,
  body BLOB NOT NULL, PRIMARY KEY (chat, seq)) WITHOUT ROWID;
CREATE UNIQUE INDEX bare_mid ON bare_message (chat, mid);
"""


class Message(msgspec.Struct, array_like=True, gc=False):
    """From a client."""

    chat: int
    mid: bytes
    body: bytes


class Ack(msgspec.Struct, array_like=True, gc=False, tag=1):
    """To its sender."""

    mid: bytes
    seq: int


class Event(msgspec.Struct, array_like=True, gc=False, tag=2):
    """To the others."""

    chat: int
    seq: int
    body: bytes


encoder: Final = msgspec.msgpack.Encoder()
items_decoder: Final = msgspec.msgpack.Decoder(list[Ack | Event])
_message_decoder: Final = msgspec.msgpack.Decoder(Message)
Entry = tuple["Socket", Message, int]


class Store(Protocol):
    """Where messages are kept."""

    async def open(self, chats: list[int]) -> None:
        """Make the tables."""
        ...

    async def flush(self, batch: list[Entry]) -> dict[bytes, int]:
        """Store a batch; the sequence numbers by mid."""
        ...


class PostgresStore:
    """One statement per batch."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def open(self, chats: list[int]) -> None:
        self._connection = await asyncpg.connect(self._address)
        await self._connection.execute(_POSTGRES)
        await self._connection.executemany("INSERT INTO bare_chat VALUES ($1, 0)", [(number,) for number in chats])
        self._append = await self._connection.prepare(_APPEND)

    async def flush(self, batch: list[Entry]) -> dict[bytes, int]:
        rows = await self._append.fetch(
            [message.chat for _, message, _ in batch],
            [message.mid for _, message, _ in batch],
            [ts for _, _, ts in batch],
            [message.body for _, message, _ in batch],
        )
        return {row[0]: row[1] for row in rows}


class SqliteStore:
    """A batch whole in one thread."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1)

    async def open(self, chats: list[int]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._open, chats)

    def _open(self, chats: list[int]) -> None:
        self._connection = sqlite3.connect(self._path, isolation_level=None)
        for pragma in PRAGMAS:
            self._connection.execute(pragma)
        self._connection.executescript(_SQLITE)
        self._connection.executemany("INSERT INTO bare_chat VALUES (?, 0)", [(number,) for number in chats])

    async def flush(self, batch: list[Entry]) -> dict[bytes, int]:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._write, batch)

    def _write(self, batch: list[Entry]) -> dict[bytes, int]:
        counts: dict[int, int] = {}
        for _, message, _ in batch:
            counts[message.chat] = counts.get(message.chat, 0) + 1
        self._connection.execute("BEGIN IMMEDIATE")
        advance = "UPDATE bare_chat SET last_seq = last_seq + ? WHERE id = ? RETURNING last_seq"
        last = {
            chat: self._connection.execute(advance, (number, chat)).fetchone()[0] - number
            for chat, number in counts.items()
        }
        rows = []
        for _, message, ts in batch:
            last[message.chat] += 1
            rows.append((message.chat, last[message.chat], message.mid, ts, message.body))
        self._connection.executemany("INSERT INTO bare_message VALUES (?, ?, ?, ?, ?)", rows)
        self._connection.execute("COMMIT")
        return {mid: seq for _, seq, mid, _, _ in rows}


class NoStore:
    """Numbers only."""

    def __init__(self, _address: str) -> None:
        self._last: dict[int, int] = {}

    async def open(self, chats: list[int]) -> None:
        self._last = dict.fromkeys(chats, 0)

    async def flush(self, batch: list[Entry]) -> dict[bytes, int]:
        await asyncio.sleep(0)
        seqs = {}
        for _, message, _ in batch:
            self._last[message.chat] += 1
            seqs[message.mid] = self._last[message.chat]
        return seqs


STORES: Final[dict[str, Callable[[str], Store]]] = {"postgresql": PostgresStore, "sqlite": SqliteStore, "none": NoStore}


class Hub:
    """The whole server."""

    def __init__(self, store: Store, users: int) -> None:
        half = users // 2
        self.store = store
        self.users: dict[int, Socket] = {}
        self._members = {number: (number, number + half) for number in range(half)} | {GROUP: tuple(range(users))}
        self._queue: list[Entry] = []
        self._wake = asyncio.Event()

    async def start(self) -> None:
        await self.store.open(list(self._members))
        self._task = asyncio.create_task(self._run())

    def message(self, socket: Socket, data: memoryview) -> None:
        self._queue.append((socket, _message_decoder.decode(data), time.time_ns() // 1_000_000))
        self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            batch, self._queue = self._queue[:MAX_BATCH], self._queue[MAX_BATCH:]
            if not self._queue:
                self._wake.clear()
            self._deliver(batch, await self.store.flush(batch))

    def _deliver(self, batch: list[Entry], seqs: dict[bytes, int]) -> None:
        out: dict[Socket, list[Ack | msgspec.Raw]] = {}
        for socket, message, _ in batch:
            seq = seqs[message.mid]
            out.setdefault(socket, []).append(Ack(message.mid, seq))
            event = msgspec.Raw(encoder.encode(Event(message.chat, seq, message.body)))
            for user in self._members[message.chat]:
                if user != socket.user and (other := self.users.get(user)) is not None:
                    out.setdefault(other, []).append(event)
        same: dict[tuple[int, ...], bytes] = {}
        for socket, items in out.items():
            key = tuple(map(id, items))
            data = same.get(key)
            if data is None:
                data = same[key] = encoder.encode(items)
            socket.send(data)


class Socket(WSListener):
    """One user."""

    def __init__(self, hub: Hub, user: int) -> None:
        super().__init__()
        self._hub = hub
        self.user = user

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self._hub.users[self.user] = self

    def on_ws_disconnected(self, _transport: WSTransport) -> None:
        self._hub.users.pop(self.user, None)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == BINARY:
            self._hub.message(self, frame.get_payload_as_memoryview())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()

    def send(self, data: bytes) -> None:
        self._transport.send(BINARY, data)


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=STORES, required=True)
    parser.add_argument("--address", default="", help="a file for SQLite, an address for PostgreSQL")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--users", type=int, default=100)
    given = parser.parse_args()
    hubs: list[Hub] = []

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        hubs.append(Hub(STORES[given.database](given.address), given.users))
        await hubs[0].start()
        tune_interpreter()
        yield

    def accept(_transport: asyncio.BaseTransport, request: WSUpgradeRequest) -> WSListener:
        return Socket(hubs[0], int(request.path.rpartition(b"=")[2]))

    uvicorn.run(
        FastAPI(lifespan=life),
        host="127.0.0.1",
        port=given.port,
        loop="uvloop",
        http="httptools",
        ws=protocol_class(accept),
        log_level="warning",
        access_log=False,
        backlog=4096,
    )


if __name__ == "__main__":
    main()
