"""Threads that read from SQLite. A visit to a thread costs as much as a small query: one for the whole function."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar, cast

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, Dialect
from sqlalchemy.pool import Pool

T = TypeVar("T")
READERS: Final = 4


class SqliteReaders:
    """Connections that cannot write, each used by one thread at a time."""

    def __init__(self, url: URL) -> None:
        self._engine: Engine = create_engine(
            url.set(drivername="sqlite"),
            pool_size=READERS,
            max_overflow=0,
            hide_parameters=True,
            connect_args={"check_same_thread": False},
        )
        listen_as_reader(self._engine)
        self._threads = ThreadPoolExecutor(READERS, "sqlite-reader")

    async def run(self, function: Callable[[Connection], T]) -> T:
        """Call `function` in a thread; its statements see one snapshot."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, function)

    def _run(self, function: Callable[[Connection], T]) -> T:
        with self._engine.connect() as connection:
            return function(connection)

    async def fetch(self, sql: str, arguments: Sequence[Any]) -> list[Any]:
        """The rows of one statement as the driver gives them."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._fetch, sql, arguments)

    def _fetch(self, sql: str, arguments: Sequence[Any]) -> list[Any]:
        connection = self._engine.raw_connection()
        try:
            driver = cast("sqlite3.Connection", connection.driver_connection)
            return driver.execute(sql, arguments).fetchall()
        finally:
            connection.close()

    @property
    def dialect(self) -> Dialect:
        """What statements are compiled for."""
        return self._engine.dialect

    @property
    def pools(self) -> tuple[Pool]:
        """For those who count connections."""
        return (self._engine.pool,)

    async def close(self) -> None:
        """Finish what is being read, then close every connection."""
        await asyncio.to_thread(self._threads.shutdown)
        self._engine.dispose()


def listen_as_reader(engine: Engine) -> None:
    """Make the engine's connections unable to write, and each transaction one snapshot."""
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)


def _prepare(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy begins, see _begin: the driver's own rules differ between versions
    cursor = connection.cursor()
    for pragma in ("busy_timeout = 5000", "query_only = ON", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")
