"""Connections to PostgreSQL for a few statements that are asked for all the time, with nothing around them.

SQLAlchemy's part of a small statement costs ten times what the driver's does. What is rare goes through `Database`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, Final

import asyncpg
from sqlalchemy.exc import IntegrityError

from mensajeria.server.db.failures import LaneError
from mensajeria.server.db.postgres_session import SESSION

TIMEOUT_S: Final = 10.0
SETTINGS: Final = {
    **SESSION,
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
    # The planner cannot know how many rows an array has, nor, on a young server, how large a table will be. The right
    # plan is to look each row up by its index; without these it may read the whole table for every call.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}
_ONCE_MORE: Final = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
AWAY: Final = (
    OSError,
    asyncio.TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the driver's word for a connection that broke in the middle of an answer
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.CannotConnectNowError,
    asyncpg.ReadOnlySQLTransactionError,  # it is the spare of another one by now
)
"""The database, or the connection to it, is away: another connection may find it."""


class PostgresLane:
    """Opens its connection at the first statement and again after it was lost. Each statement is a transaction."""

    def __init__(self, dsn: str, name: str, settings: dict[str, str]) -> None:
        """`settings` are PostgreSQL's, for this connection."""
        self._dsn = dsn
        self._settings = {"application_name": f"mensajeria-{name}", **SETTINGS, **settings}
        self._connection: asyncpg.Connection[Any] | None = None
        self._turn = asyncio.Lock()

    async def fetch(self, statement: str, *arguments: object) -> list[Any]:
        """The rows of one statement, which the connection keeps prepared.

        Raises:
            LaneError: see there.
            sqlalchemy.exc.IntegrityError: as `Database.write`.
        """
        async with self._turn:
            try:
                try:
                    return await (await self._connected()).fetch(statement, *arguments)
                except _ONCE_MORE:
                    return await (await self._connected()).fetch(statement, *arguments)
            except AWAY as error:
                await self._drop()
                raise LaneError(type(error).__name__) from error
            except asyncpg.IntegrityConstraintViolationError as error:
                raise IntegrityError(None, None, error) from error
            except asyncpg.PostgresError as error:
                raise LaneError(type(error).__name__) from error

    async def close(self) -> None:
        """Give up the connection."""
        async with self._turn:
            await self._drop()

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*AWAY):
                await connection.close(timeout=1)

    async def _connected(self) -> asyncpg.Connection[Any]:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                self._dsn, timeout=TIMEOUT_S, command_timeout=TIMEOUT_S, server_settings=self._settings
            )
        return self._connection


class PostgresLanes:
    """Several lanes of one kind. The one used last is used next: its statements are prepared, others may never open."""

    def __init__(self, lanes: Sequence[PostgresLane]) -> None:
        self._lanes = lanes
        self._idle = list(lanes)
        self._free = asyncio.Semaphore(len(lanes))

    async def fetch(self, statement: str, *arguments: object) -> list[Any]:
        """See `PostgresLane.fetch`."""
        async with self._free:
            lane = self._idle.pop()
            try:
                return await lane.fetch(statement, *arguments)
            finally:
                self._idle.append(lane)

    async def close(self) -> None:
        """Give up the connections."""
        for lane in self._lanes:
            await lane.close()
