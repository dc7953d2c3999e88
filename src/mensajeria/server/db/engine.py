"""One way to read and one way to write, whichever database is behind it.

A read is asynchronous, on a connection of a pool. A write is a plain function over a SQLAlchemy Core connection, run as
one transaction: on SQLite in the one writer thread, on PostgreSQL on the driver's own connection. It is written once:
`with_for_update()` takes the row lock on PostgreSQL and means nothing on SQLite, where writes never overlap.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Row, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from mensajeria.server.db.sqlite_writer import SqliteWriter

T = TypeVar("T")
AnyRow = Row[*tuple[Any, ...]]
"""A row whose columns are named by the query beside it."""
_KINDS: Final = "the database is a file of SQLite (sqlite:///path) or PostgreSQL (postgresql://...)"
RETRIED_STATES: Final = frozenset({"40001", "40P01"})
"""Serialization failure and deadlock: the transaction had no effect and may be run again."""


def normalise_url(url: str) -> URL:
    """The URL with the drivers that this program uses.

    Raises:
        ValueError: neither SQLite in a file nor PostgreSQL.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ValueError(_KINDS) from None  # without the URL, which may hold a password
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+asyncpg")
    if backend == "sqlite" and parsed.database and parsed.database != ":memory:":
        return parsed.set(drivername="sqlite+aiosqlite")
    raise ValueError(_KINDS)


POOL: Final = 10
"""Connections that a process keeps to PostgreSQL; under load it opens twice as many on top."""


class Database:
    """The server's database. Make it outside of the event loop; `close` it at the end."""

    def __init__(self, url: str, *, pool_size: int = POOL) -> None:
        self.url: Final = normalise_url(url)
        self.is_sqlite: Final = self.url.get_backend_name() == "sqlite"
        self.engine: Final = _sqlite_reader(self.url) if self.is_sqlite else _postgres(self.url, pool_size)
        self.writer: Final = SqliteWriter(Path(self.url.database or "")) if self.is_sqlite else None
        self._borrowed: _Borrowed | None = None
        self.observe_write: Callable[[float], None] | None = None
        """Told how many seconds each `write` took."""

    @property
    def postgres_dsn(self) -> str:
        """The URL as asyncpg itself takes it, for the connection of the hot path."""
        return self.url.set(drivername="postgresql").render_as_string(hide_password=False)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction that is rolled back at the end. On SQLite its statements see one snapshot."""
        async with self.engine.connect() as connection:
            yield connection

    async def query(self, function: Callable[[Connection], T]) -> T:
        """Run a function that only reads, with the same kind of connection that a write function gets."""
        async with self.read() as connection:
            return await connection.run_sync(function)

    async def write(self, function: Callable[[Connection], T]) -> T:
        """Run `function` in one transaction, committed when this returns; an exception rolls it back and is raised.

        On PostgreSQL a deadlock or serialization failure runs it once more: it must have no effect beside the database.
        """
        if self.observe_write is None:
            return await self._write(function)
        started = perf_counter()
        try:
            return await self._write(function)
        finally:
            self.observe_write(perf_counter() - started)

    async def _write(self, function: Callable[[Connection], T]) -> T:
        if self.writer is not None:
            return await self.writer.run(lambda raw: function(self._on_writer(raw)))
        try:
            return await self._write_postgres(function)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in RETRIED_STATES:
                raise
        return await self._write_postgres(function)

    async def _write_postgres(self, function: Callable[[Connection], T]) -> T:
        async with self.engine.begin() as connection:
            return await connection.run_sync(function)

    def _on_writer(self, raw: sqlite3.Connection) -> Connection:
        if self._borrowed is None or self._borrowed.raw is not raw:
            self._borrowed = _Borrowed(raw)
        return self._borrowed.connection

    async def ping(self) -> None:
        """Raises an exception of SQLAlchemy when the database does not answer."""
        async with self.read() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Close every connection; writes that were accepted are finished first."""
        if self.writer is not None:
            await self.writer.close()
        await self.engine.dispose()


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


def _postgres(url: URL, pool_size: int) -> AsyncEngine:
    return create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=2 * pool_size,
        pool_pre_ping=True,
        pool_timeout=10,
        hide_parameters=True,
        connect_args={"timeout": 10, "command_timeout": 30},
    )


def _sqlite_reader(url: URL) -> AsyncEngine:
    engine = create_async_engine(url, pool_size=4, max_overflow=4, hide_parameters=True)
    event.listen(engine.sync_engine, "connect", _prepare_reader)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _prepare_reader(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy begins, see _begin: the driver's own rules differ between versions
    cursor = connection.cursor()
    for pragma in ("busy_timeout = 5000", "query_only = ON", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")
