"""The bare hot path (see `bare_server`): the ceiling for a server with our promises, in the same run."""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from picows import WSFrame, WSListener, WSTransport, ws_connect

from benchmarks.lib import proc
from benchmarks.lib.peer import OnBody, Peer, Session, count
from benchmarks.peers.bare_server import BINARY, GROUP, Event, Message, encoder, items_decoder
from tests.support.lifeline import Run
from tests.support.net import free_port
from tests.support.postgres import dsn


class BareSession(WSListener):
    """A connection."""

    def __init__(self, user: int, on_body: OnBody) -> None:
        super().__init__()
        self._user = user
        self._on_body = on_body
        self._number = 0
        self._mids = secrets.token_bytes(8)
        self._transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def on_ws_frame(self, _transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == BINARY:
            for item in items_decoder.decode(frame.get_payload_as_memoryview()):
                if type(item) is Event:
                    self._on_body(item.body[:8])

    def send(self, to: int, body: bytes) -> None:
        del to  # the number of the sender's only chat is its own
        self._message(self._user, body)

    def send_group(self, body: bytes) -> None:
        self._message(GROUP, body)

    def _message(self, chat: int, body: bytes) -> None:
        assert self._transport is not None
        self._number += 1
        mid = self._mids + self._number.to_bytes(8, "big")
        self._transport.send(BINARY, encoder.encode(Message(chat, mid, body)))

    async def close(self) -> None:
        assert self._transport is not None
        self._transport.disconnect()


class Bare(Peer):
    """On PostgreSQL."""

    name = "bare"
    durability = "PostgreSQL, fsync on: group commit before ack and push"
    database: ClassVar[str] = "postgresql"

    def __init__(self, folder: Path, own: Run) -> None:
        super().__init__(folder, own)
        self.url = ""
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def version(self) -> str:
        return "-"

    def address(self) -> str:
        """Where the server stores."""
        self.url = self.start_postgres().create_database("bare")
        return dsn(self.url)

    def start(self) -> None:
        command = [sys.executable, "-m", "benchmarks.peers.bare_server", "--database", self.database]
        self._process = proc.spawn(
            [*command, "--address", self.address(), "--port", str(self.port)], log=self.folder / "bare.log"
        )
        proc.wait_for_port(self.port, self._process)

    def stop(self) -> None:
        proc.stop(self._process)

    def roots(self) -> dict[str, int]:
        assert self._process is not None
        return {"server": self._process.pid, **self.postgres_root()}

    async def session(self, user: int, on_body: OnBody, *, receives: bool) -> Session:
        del receives
        address = f"ws://127.0.0.1:{self.port}/ws?user={user}"
        _, session = await ws_connect(lambda: BareSession(user, on_body), address, websocket_handshake_timeout=60)
        assert isinstance(session, BareSession)
        return session

    async def group(self, sessions: Sequence[Session]) -> None:
        """Everybody is in it."""

    async def stored(self) -> int | None:
        return await count(self.url, "bare_message")


class BareSqlite(Bare):
    """On SQLite."""

    name = "bare-sqlite"
    durability = "SQLite, WAL, synchronous=FULL: group commit before ack and push"
    database = "sqlite"

    def address(self) -> str:
        return str(self.folder / "bare.db")

    async def stored(self) -> int | None:
        with contextlib.closing(sqlite3.connect(self.folder / "bare.db")) as connection:
            return int(connection.execute("SELECT count(*) FROM bare_message").fetchone()[0])


class BareNone(Bare):
    """The WebSocket stack alone."""

    name = "bare-none"
    durability = "none: nothing is stored"
    database = "none"

    def address(self) -> str:
        return ""

    async def stored(self) -> int | None:
        return None
