"""One way to read and one way to write, whichever database is behind it.

Both are plain functions over a SQLAlchemy Core connection, written once for both databases. A write is one transaction:
on SQLite in the one writer thread, on PostgreSQL on a connection of a pool; `with_for_update()` takes the row lock on
PostgreSQL and means nothing on SQLite, where writes never overlap. A read goes to a connection that cannot write: on
SQLite in a thread, the whole function in one visit; on PostgreSQL without BEGIN and ROLLBACK around it.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import Connection, Row, create_engine, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import NullPool, Pool

from mensajeria.server.db.failures import ConnectionBrokenError
from mensajeria.server.db.reads import R, Read
from mensajeria.server.db.room import Room
from mensajeria.server.db.sqlite_readers import SqliteReaders, listen_as_reader
from mensajeria.server.db.sqlite_writer import SqliteWriter

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from mensajeria.server.db.postgres_lane import PostgresLane, PostgresLanes
    from mensajeria.server.db.postgres_pools import PostgresPools

T = TypeVar("T")
AnyRow = Row[*tuple[Any, ...]]
"""A row whose columns are named by the query beside it."""
_KINDS: Final = "the database is a file of SQLite (sqlite:///path) or PostgreSQL (postgresql://...)"
RETRIED_STATES: Final = frozenset({"40001", "40P01", "23505", "23503"})
"""Serialization failure and deadlock; and somebody was faster, or has taken away what is pointed at.

The transaction had no effect and may be run again: it then finds what it could not see the first time.
"""


def normalise_url(url: str) -> URL:
    """The URL with the drivers that this program uses.

    Raises:
        ValueError: neither SQLite in a file nor PostgreSQL.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # the latter repeats what stands where the port belongs
        raise ValueError(_KINDS) from None  # without the URL, which may hold a password
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+asyncpg")
    if backend == "sqlite" and parsed.database and parsed.database != ":memory:":
        return parsed.set(drivername="sqlite+aiosqlite")
    raise ValueError(_KINDS)


def make_private(url: URL) -> None:
    """Make SQLite's file, if there is none, for nobody else to read; the files beside it get the same mode from it.

    The data folder is private where this program makes it. An operator, or systemd, may have made it otherwise.
    """
    with suppress(FileExistsError):
        os.close(os.open(url.database or "", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def driver_dsn(url: URL) -> str:
    """A URL of PostgreSQL's as asyncpg itself takes it, which knows the options of libpq (`sslmode`, `sslrootcert`)."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


POOL: Final = 10
"""Connections to PostgreSQL, see `PostgresPools`."""
CONNECTIONS: Final = 32
"""Of one process to PostgreSQL, at most: 25 of the pools, five for look-ups, one for marks and one for the log."""


class Database:
    """The server's database. Make it outside of the event loop; `close` it at the end."""

    def __init__(self, url: str, *, pool_size: int = POOL) -> None:
        self.url: Final = normalise_url(url)
        self.is_sqlite: Final = self.url.get_backend_name() == "sqlite"
        self.writer: Final = SqliteWriter(Path(self.url.database or "")) if self.is_sqlite else None
        self._readers: Final = SqliteReaders(self.url) if self.is_sqlite else None
        self.room: Final = Room()
        self._postgres: Final = None if self.is_sqlite else _postgres_pools(self.url, pool_size, self.room)
        self._broken: Final[tuple[type[Exception], ...]] = () if self._postgres is None else self._postgres.broken
        self._marks: Final = None if self.is_sqlite else self._lane("marks", {"synchronous_commit": "off"})
        self._look_ups: Final = None if self.is_sqlite else self._lanes(max(1, pool_size // 2))
        self._awaited: AsyncEngine | None = None
        self._making: Final = threading.Lock()
        self._borrowed: _Borrowed | None = None
        self.observe_write: Callable[[float], None] | None = None
        """Told how many seconds each `write` took."""

    @property
    def postgres_dsn(self) -> str:
        """See `driver_dsn`; for the connections of the hot path."""
        return driver_dsn(self.url)

    @property
    def pools(self) -> Sequence[Pool]:
        """For those who count connections."""
        return self._readers.pools if self._readers is not None else self._pools().pools

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection whose statements are awaited, in a transaction that is rolled back; `query` costs less."""
        engine = await asyncio.to_thread(self._awaited_engine) if self.is_sqlite else self._pools().writing
        try:
            async with engine.connect() as connection:
                yield connection
        except self._broken as error:
            raise ConnectionBrokenError from error

    def _lane(self, name: str, settings: dict[str, str]) -> PostgresLane:
        from mensajeria.server.db.postgres_lane import PostgresLane  # noqa: PLC0415 - as the pools

        return PostgresLane(self.postgres_dsn, name, settings)

    def _lanes(self, count: int) -> PostgresLanes:
        from mensajeria.server.db.postgres_lane import PostgresLanes  # noqa: PLC0415 - as the pools

        return PostgresLanes([self._lane("reads", {"default_transaction_read_only": "on"}) for _ in range(count)])

    def _pools(self) -> PostgresPools:
        assert self._postgres is not None
        return self._postgres

    def _awaited_engine(self) -> AsyncEngine:
        with self._making:  # two first readers at once would make two, and one of them would never be closed
            if self._awaited is None:
                from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415 - only for those who read so

                made = create_async_engine(self.url, hide_parameters=True)
                listen_as_reader(made.sync_engine)
                self._awaited = made
            return self._awaited

    async def query(self, function: Callable[[Connection], T]) -> T:
        """Run a function that only reads, with the same kind of connection that a write function gets.

        On SQLite its statements see one snapshot, on PostgreSQL each sees what is committed when it begins.
        """
        if self._readers is not None:
            return await self._readers.run(function)
        try:
            async with self._pools().reading.connect() as connection:
                return await connection.run_sync(function)
        except self._broken as error:
            raise ConnectionBrokenError from error

    async def rows(self, read: Read[R], **values: object) -> list[R]:
        """The rows of a read that is asked for all the time: a fraction of what `query` costs."""
        if self._readers is not None:
            compiled = read.compiled(self._readers.dialect)
            return read.rows(await self._readers.fetch(compiled.sql, compiled.arguments(values)))
        compiled = read.compiled(self._pools().dialect)
        return read.rows(await self.look_up(compiled.sql, *compiled.arguments(values)))

    async def look_up(self, statement: str, *arguments: object) -> list[Any]:
        """PostgreSQL only: one statement that reads, as the driver takes it. `rows` is for both databases."""
        assert self._look_ups is not None
        return await self._look_ups.fetch(statement, *arguments)

    async def mark(self, statement: str, *arguments: object) -> list[Any]:
        """PostgreSQL only: one statement that writes, as the driver takes it, and does not wait for the disk."""
        assert self._marks is not None
        started = perf_counter()
        try:
            return await self._marks.fetch(statement, *arguments)
        finally:
            if self.observe_write is not None:
                self.observe_write(perf_counter() - started)

    async def write(self, function: Callable[[Connection], T], *, durable: bool = True) -> T:
        """Run `function` in one transaction, committed when this returns; an exception rolls it back and is raised.

        On PostgreSQL what others did at the same moment (RETRIED_STATES) runs it once more: it must have no effect
        beside the database.
        Not `durable`: this return does not wait for the disk. If the machine falls, the newest such transactions may be
        gone, whole; one that is durable brings all before it to the disk.
        """
        work = function if durable or self.is_sqlite else _without_waiting(function)
        if self.observe_write is None:
            return await self._write(work, durable=durable)
        started = perf_counter()
        try:
            return await self._write(work, durable=durable)
        finally:
            self.observe_write(perf_counter() - started)

    async def _write(self, function: Callable[[Connection], T], *, durable: bool) -> T:
        if self.writer is not None:
            return await self.writer.run(lambda raw: function(self._on_writer(raw)), durable=durable)
        try:
            return await self._write_postgres(function)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in RETRIED_STATES:
                raise
        return await self._write_postgres(function)

    async def _write_postgres(self, function: Callable[[Connection], T]) -> T:
        try:
            async with self._pools().writing.begin() as connection:
                return await connection.run_sync(function)
        except self._broken as error:
            raise ConnectionBrokenError from error

    def _on_writer(self, raw: sqlite3.Connection) -> Connection:
        if self._borrowed is None or self._borrowed.raw is not raw:
            self._borrowed = _Borrowed(raw)
        return self._borrowed.connection

    async def ping(self) -> None:
        """Raises an exception of SQLAlchemy when the database does not answer."""
        await self.query(lambda connection: connection.execute(text("SELECT 1")).scalar_one())

    async def close(self) -> None:
        """Close every connection; writes that were accepted are finished first."""
        if self.writer is not None:
            await self.writer.close()
        if self._readers is not None:
            await self._readers.close()
        for pool in (self._marks, self._look_ups, self._postgres):
            if pool is not None:
                await pool.close()
        if self._awaited is not None:
            await self._awaited.dispose()


class _Borrowed:
    """SQLAlchemy's view of the writer thread's connection.

    The writer begins and commits. SQLAlchemy is given one connection that it believes to be in one endless transaction,
    and must not end it: not even when it looks at the first connection of an engine, which it rolls back afterwards.
    Detached from its pool, so that nothing touches it when this object is forgotten.
    """

    def __init__(self, raw: sqlite3.Connection) -> None:
        self.raw = raw
        engine = create_engine("sqlite://", creator=lambda: raw, poolclass=NullPool, hide_parameters=True)
        for name in ("do_begin", "do_commit", "do_rollback"):
            setattr(engine.dialect, name, lambda _connection: None)
        self.connection: Connection = engine.connect()
        self.connection.detach()


def _postgres_pools(url: URL, pool_size: int, room: Room) -> PostgresPools:
    from mensajeria.server.db.postgres_pools import PostgresPools  # noqa: PLC0415 - 10 MB that SQLite does not need

    return PostgresPools(driver_dsn(url), pool_size, room)


def _without_waiting(function: Callable[[Connection], T]) -> Callable[[Connection], T]:
    def work(connection: Connection) -> T:
        connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
        return function(connection)

    return work
