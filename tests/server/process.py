"""A real server process for tests and measurements, and people who can connect to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, TypeVar

from sqlalchemy import Connection

from mensajeria.kit.clock import SystemClock
from mensajeria.server.accounts.tokens import AccessTokens, ChannelKeySealer, channel_key_id
from mensajeria.server.db.engine import Database
from mensajeria.server.facts import Facts, read_facts
from mensajeria.server.keyfiles import KeyFiles, load_key_files
from tests.server.people import Person, insert_direct_chat, insert_people

T = TypeVar("T")
START_S: Final = 30.0
_ROOT: Final = Path(__file__).parents[2]


@dataclass(slots=True)
class ServerProcess:
    """A server that listens on 127.0.0.1."""

    process: subprocess.Popen[str]
    port: int
    data: Path
    database_url: str

    @property
    def websocket(self) -> str:
        """The address of `/ws`."""
        return f"ws://127.0.0.1:{self.port}/ws"

    def kill(self) -> None:
        """End it without a chance to do anything."""
        self.process.kill()
        self.process.wait()
        self._close_pipe()

    def terminate(self) -> None:
        """Ask it to end."""
        self.process.send_signal(signal.SIGTERM)

    def stop(self) -> int:
        """Ask it to end and wait; the exit code."""
        if self.process.poll() is None:
            self.terminate()
        try:
            return self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        finally:
            self._close_pipe()

    def _close_pipe(self) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()

    async def db(self, work: Callable[[Connection], T], *, write: bool = True) -> T:
        """Run something in the server's database, from this process."""
        database = await asyncio.to_thread(Database, self.database_url)
        try:
            return await (database.write(work) if write else database.query(work))
        finally:
            await database.close()

    def keys(self) -> KeyFiles:
        """The server's secret files."""
        keys = load_key_files(self.data / "secrets")
        assert keys is not None
        return keys


def start_server_process(
    data: Path,
    database_url: str | None = None,
    *,
    log: IO[str] | None = None,
    settings: Mapping[str, str] | None = None,
) -> ServerProcess:
    """Start a server on a free port and wait until it listens. `log` gets its standard error, else this process'."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MENSAJERIA_")},
        "MENSAJERIA_DATA_DIR": str(data),
        "MENSAJERIA_PORT": "0",
        "MENSAJERIA_MIGRATE": "true",
        **({"MENSAJERIA_DATABASE_URL": database_url} if database_url else {}),
        **(settings or {}),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.server.program"],
        cwd=_ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("listening on "):
            port = int(line.rsplit(":", 1)[1])
            return ServerProcess(process, port, data, database_url or f"sqlite:///{data / 'mensajeria.db'}")
    process.stdout.close()
    raise RuntimeError(f"the server ended with {process.wait()}")


@dataclass(frozen=True, slots=True)
class World:
    """A server's people, made behind its back."""

    server: ServerProcess
    facts: Facts
    sealer: ChannelKeySealer
    tokens: AccessTokens

    @classmethod
    async def of(cls, server: ServerProcess) -> World:
        """Read what the server made at its start."""
        facts = await server.db(read_facts, write=False)
        assert facts is not None
        keys = await asyncio.to_thread(server.keys)
        return cls(
            server,
            facts,
            ChannelKeySealer(keys.channel),
            AccessTokens(keys.token, facts.server_id, SystemClock()),
        )

    def token(self, person: Person) -> str:
        """An access token for the person's device."""
        return self.tokens.issue(uid=person.uid, did=person.did, key_id=channel_key_id(person.ck))[0]

    async def people(self, count: int) -> list[Person]:
        """Accounts with one device each."""
        return await self.server.db(lambda db: insert_people(db, count, self.sealer))

    async def pair(self, *, accepted: bool = True) -> tuple[Person, Person, bytes]:
        """Two people and the direct chat that the first began."""
        one, other = await self.people(2)
        _, chat_id = await self.server.db(
            lambda db: insert_direct_chat(db, self.facts.server_id, one, other, accepted=accepted)
        )
        return one, other, chat_id


@asynccontextmanager
async def stopping(server: ServerProcess) -> AsyncIterator[ServerProcess]:
    """Stop the server at the end, whatever became of it."""
    try:
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            await asyncio.to_thread(server.stop)
