"""Connections to PostgreSQL: a pool that writes, and one that cannot. Imported only by servers that have one."""

from __future__ import annotations

from typing import Any, Final

from asyncpg import InternalClientError
from sqlalchemy import event
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import Pool

from mensajeria.server.db.postgres_session import DRIVER, SESSION, connector
from mensajeria.server.db.room import Room

_READ_ONLY: Final = "25006"


class PostgresPools:
    """`writing`: transactions. `reading`: each statement is a transaction of its own, and none may write.

    Together two and a half times `pool_size` connections at most (and half of it for the reads that are asked for all
    the time, see `postgres_lane`). What is opened above a pool's size is closed as soon as it is given back. The
    connection used last is used next: its statements are prepared.
    """

    broken: Final = (InternalClientError,)
    """What the driver raises for a connection that broke in the middle of an answer, and SQLAlchemy passes on."""

    def __init__(self, dsn: str, pool_size: int, room: Room) -> None:
        half = max(1, pool_size // 2)
        self.writing = _engine(dsn, half, pool_size)
        event.listen(self.writing.sync_engine, "handle_error", _leave_a_spare)
        event.listen(self.writing.sync_engine, "handle_error", lambda context: room.note(context.original_exception))
        reading = _engine(dsn, half, half, default_transaction_read_only="on")
        self.reading = reading.execution_options(isolation_level="AUTOCOMMIT")

    @property
    def dialect(self) -> Dialect:
        """What statements are compiled for."""
        return self.reading.dialect

    @property
    def pools(self) -> tuple[Pool, Pool]:
        """For those who count connections."""
        return self.writing.pool, self.reading.pool

    async def close(self) -> None:
        """Close every connection."""
        await self.writing.dispose()
        await self.reading.dispose()


def _engine(dsn: str, kept: int, on_top: int, **settings: str) -> AsyncEngine:
    engine = create_async_engine(
        DRIVER,
        async_creator=connector(dsn, timeout=10, command_timeout=30, server_settings=SESSION | settings),
        pool_size=kept,
        max_overflow=on_top,
        pool_use_lifo=True,
        pool_timeout=10,
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "checkout", _refuse_lost)
    return engine


def _leave_a_spare(context: Any) -> None:
    """A database that has stopped taking writes is the spare of another one by now: connect anew."""
    if getattr(context.original_exception, "sqlstate", None) == _READ_ONLY:
        context.is_disconnect = True


def _refuse_lost(connection: Any, _record: Any, _proxy: Any) -> None:
    """The event loop has seen the end of a lost connection: asking the server first would cost three round trips."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError
