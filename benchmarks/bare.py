"""The bare server: what the same stack does with nothing but the hot path, as the limit to compare ours with.

Message in, group commit with a sequence number per chat, ack, push; no MAC, no accounts, no authorisation, no
idempotency. `--database echo` sends every message back and stores nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
import uvicorn
from fastapi import FastAPI
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest

from benchmarks.load import BareAck, BareEvent, BareMessage
from mensajeria.server.db.sqlite_writer import PRAGMAS
from mensajeria.server.realtime.picows_front import protocol_class
from mensajeria.server.serve import tune_collector

PAIRS: Final = 50
MAX_BATCH: Final = 1024
_decoder: Final = msgspec.msgpack.Decoder(BareMessage)
_encoder: Final = msgspec.msgpack.Encoder()

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

Entry = tuple["Socket", BareMessage, int]


class PostgresStore:
    def __init__(self, address: str) -> None:
        self._address = address

    async def open(self) -> None:
        import asyncpg  # noqa: PLC0415 - only this store needs it

        self._connection = await asyncpg.connect(self._address)
        await self._connection.execute(_POSTGRES)
        await self._connection.executemany("INSERT INTO bare_chat VALUES ($1, 0)", [(n,) for n in range(PAIRS)])
        self._append = await self._connection.prepare(_APPEND)

    async def flush(self, batch: list[Entry]) -> dict[bytes, int]:
        rows = await self._append.fetch(
            [m.chat for _, m, _ in batch],
            [m.mid for _, m, _ in batch],
            [ts for _, _, ts in batch],
            [m.body for _, m, _ in batch],
        )
        return {row[0]: row[1] for row in rows}


class SqliteStore:
    def __init__(self, path: str) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1)

    async def open(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._open)

    def _open(self) -> None:
        self._connection = sqlite3.connect(self._path, isolation_level=None)
        for pragma in PRAGMAS:
            self._connection.execute(pragma)
        self._connection.executescript(_SQLITE)
        self._connection.executemany("INSERT INTO bare_chat VALUES (?, 0)", [(n,) for n in range(PAIRS)])

    async def flush(self, batch: list[Entry]) -> dict[bytes, int]:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._write, batch)

    def _write(self, batch: list[Entry]) -> dict[bytes, int]:
        counts: dict[int, int] = {}
        for _, message, _ in batch:
            counts[message.chat] = counts.get(message.chat, 0) + 1
        self._connection.execute("BEGIN IMMEDIATE")
        advance = "UPDATE bare_chat SET last_seq = last_seq + ? WHERE id = ? RETURNING last_seq"
        last = {
            chat: self._connection.execute(advance, (count, chat)).fetchone()[0] - count
            for chat, count in counts.items()
        }
        rows = []
        for _, message, ts in batch:
            last[message.chat] += 1
            rows.append((message.chat, last[message.chat], message.mid, ts, message.body))
        self._connection.executemany("INSERT INTO bare_message VALUES (?, ?, ?, ?, ?)", rows)
        self._connection.execute("COMMIT")
        return {mid: seq for _, seq, mid, _, _ in rows}


class Hub:
    """The whole server."""

    def __init__(self, store: PostgresStore | SqliteStore | None) -> None:
        self.store = store
        self.users: dict[int, Socket] = {}
        self._queue: list[Entry] = []
        self._wake = asyncio.Event()

    async def start(self) -> None:
        if self.store is not None:
            await self.store.open()
            self._task = asyncio.create_task(self._run(self.store))

    def message(self, socket: Socket, data: memoryview) -> None:
        if self.store is None:
            socket.send(bytes(data))
            return
        self._queue.append((socket, _decoder.decode(data), time.time_ns() // 1_000_000))
        self._wake.set()

    async def _run(self, store: PostgresStore | SqliteStore) -> None:
        while True:
            await self._wake.wait()
            batch, self._queue = self._queue[:MAX_BATCH], self._queue[MAX_BATCH:]
            if not self._queue:
                self._wake.clear()
            self._deliver(batch, await store.flush(batch))

    def _deliver(self, batch: list[Entry], seqs: dict[bytes, int]) -> None:
        out: dict[Socket, list[BareAck | BareEvent]] = {}
        for socket, message, _ in batch:
            seq = seqs[message.mid]
            out.setdefault(socket, []).append(BareAck(message.mid, seq))
            peer = self.users.get(socket.user ^ 1)
            if peer is not None:
                out.setdefault(peer, []).append(BareEvent(message.chat, seq, message.body))
        for socket, items in out.items():
            socket.send(_encoder.encode(items))


class Socket(WSListener):
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
        if frame.msg_type == WSMsgType.BINARY:
            self._hub.message(self, frame.get_payload_as_memoryview())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()

    def send(self, data: bytes) -> None:
        self._transport.send(WSMsgType.BINARY, data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=("echo", "sqlite", "postgresql"), required=True)
    parser.add_argument("--address", default="", help="a file for SQLite, an address for PostgreSQL")
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    stores: dict[str, Any] = {"sqlite": SqliteStore, "postgresql": PostgresStore}
    store = stores[given.database](given.address) if given.database in stores else None
    hub: list[Hub] = []

    @asynccontextmanager
    async def life(_app: FastAPI) -> Any:
        hub.append(Hub(store))
        await hub[0].start()
        tune_collector()
        print("listening", flush=True)
        yield

    def accept(_peer: str, request: WSUpgradeRequest) -> WSListener:
        return Socket(hub[0], int(request.path.rpartition(b"=")[2]))

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
