"""What the works need of a messaging server, whichever it is."""

from __future__ import annotations

import asyncio
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar, Final, Protocol, TypeVar

import asyncpg

from tests.support.lifeline import Run
from tests.support.postgres import PostgresServer, dsn, start_postgres

T = TypeVar("T")
OnBody = Callable[[bytes], None]
"""Called with the first 8 bytes of every body that is delivered."""
AT_ONCE = 16
"""Connections that are opened at the same time."""


WAL_SEGMENTS: Final = 32
"""Of PostgreSQL's log, 16 MB each: more than any work writes."""


def ignore(_token: bytes) -> None:
    """Who only sends."""


class Session(Protocol):
    """One user, online. `send` and `send_group` return at once."""

    def send(self, to: int, body: bytes) -> None:
        """Send to a user."""
        ...

    def send_group(self, body: bytes) -> None:
        """Send to the group."""
        ...

    async def close(self) -> None:
        """Leave."""
        ...


class Peer(ABC):
    """A server, started for one measurement. Users are numbers from 0."""

    name: ClassVar[str]
    durability: ClassVar[str]
    install: ClassVar[str] = ""
    """How to get what is missing."""
    works: ClassVar[tuple[str, ...]] = ("W1", "W2", "10k", "W3", "W4")

    def __init__(self, folder: Path, own: Run) -> None:
        """`folder` is empty and for this server alone; servers started under `own` end with it."""
        self.folder = folder
        self.own = own
        self.postgres: PostgresServer | None = None

    @classmethod
    def is_available(cls) -> bool:
        """Whether everything it needs is installed."""
        return True

    @abstractmethod
    def version(self) -> str:
        """Its version."""

    @abstractmethod
    def start(self) -> None:
        """Start it and wait until it listens."""

    @abstractmethod
    def stop(self) -> None:
        """Stop it."""

    @abstractmethod
    def roots(self) -> dict[str, int]:
        """The processes whose CPU and memory count, with their descendants."""

    async def prepare(self, users: int) -> None:  # noqa: B027 - not every server has accounts
        """Make the accounts."""

    @abstractmethod
    async def session(self, user: int, on_body: OnBody, *, receives: bool) -> Session:
        """Log a user in."""

    async def link(self, pairs: Sequence[tuple[Session, Session]]) -> None:  # noqa: B027 - nor asks for consent
        """Let the first of each pair write to the second."""

    async def group(self, sessions: Sequence[Session]) -> None:  # noqa: B027 - nor has to be told
        """Make one group of them all; the first will send."""

    async def close(self) -> None:  # noqa: B027 - nor shares anything
        """Give up what the sessions shared."""

    async def stored(self) -> int | None:
        """Rows of messages in the database, where there is one."""
        return None

    def start_postgres(self) -> PostgresServer:
        """A durable PostgreSQL of its own, the same for every peer."""
        self.postgres = start_postgres(
            self.own, durable=True, settings={"max_wal_size": "2GB", "min_wal_size": f"{WAL_SEGMENTS * 16}MB"}
        )
        _use_wal(self.postgres.url)
        return self.postgres

    def postgres_root(self) -> dict[str, int]:
        """Its process, for `roots`."""
        return {} if self.postgres is None else {"postgres": self.postgres.pid()}


async def count(url: str, table: str) -> int:
    """Rows of a table in PostgreSQL."""
    connection = await asyncpg.connect(dsn(url))
    try:
        return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))
    finally:
        await connection.close()


async def each(work: Callable[[int], object], numbers: Sequence[int], at_once: int = AT_ONCE) -> None:
    """Await `work(number)` for all numbers, a few at a time."""
    gate = asyncio.Semaphore(at_once)

    async def one(number: int) -> None:
        async with gate:
            await work(number)  # type: ignore[misc]

    await asyncio.gather(*(one(number) for number in numbers))


def package_version(package: str) -> str:
    """The version of a Debian package."""
    found = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True, check=False
    )
    return found.stdout or "?"


def _use_wal(url: str) -> None:
    """Leave a new PostgreSQL with log segments to use again, as one has that has been running for a while.

    A new one fills each segment with 16 MB of zeros when the log comes to it, and whoever commits then waits for that:
    7 ms in memory, every two seconds at 10,000 messages a second.
    """

    async def run() -> None:
        connection = await asyncpg.connect(dsn(url))
        try:
            for _ in range(WAL_SEGMENTS):
                await connection.execute("SELECT pg_logical_emit_message(false, '', 'one more'), pg_switch_wal()")
            await connection.execute("CHECKPOINT")
        finally:
            await connection.close()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, run()).result()
