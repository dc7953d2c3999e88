"""The chats' logs in PostgreSQL: one call of the function `append_events` per batch, on a connection of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, Final

import asyncpg

from mensajeria.server.chats.log import KNOWN, NEW, BatchRefusedError, LogUnavailableError, NewEvent, Outcome
from mensajeria.server.db.postgres_lane import AWAY, SETTINGS, TIMEOUT_S

_APPEND: Final = """SELECT status, seq, ts FROM append_events(
$1::text::bigint[], $2, $3::text::bigint[], $4::text::smallint[], $5::text::bigint[], $6)"""
"""Numbers travel as text: the driver would look at each of them for an array within the array."""
_ACCEPT: Final = """UPDATE chat_member m SET accepted = true, declined = false
FROM unnest($1::bigint[], $2::bigint[]) AS a(chat, account) WHERE m.chat = a.chat AND m.account = a.account"""
_DUE: Final = "INSERT INTO event_due (due_ms, chat, seq) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])"
_SETTINGS: Final = {
    "application_name": "mensajeria-log",
    "synchronous_commit": "on",  # acked means durable, whatever the database's default is
    **SETTINGS,
}
# What a second try may mend: serialization failure, deadlock, and a unique violation by a batch that committed between
# our lock and our read.
_ONCE_MORE: Final = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.UniqueViolationError,
)


class PostgresEventLog:
    """See `EventLog`. Opens its connection at the first batch and again after it was lost."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: asyncpg.Connection[Any] | None = None
        self._append: Any = None

    async def append(self, events: Sequence[NewEvent]) -> list[Outcome]:
        """See `EventLog.append`."""
        try:
            connection = await self._connected()
            try:
                return await self._run(connection, events)
            except _ONCE_MORE:
                return await self._run(connection, events)
        except AWAY as error:
            await self.close()
            raise LogUnavailableError from error
        except asyncpg.PostgresError as error:
            raise BatchRefusedError from error

    async def close(self) -> None:
        """Give up the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*AWAY):
                await connection.close(timeout=1)

    async def _connected(self) -> asyncpg.Connection[Any]:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                self._dsn, timeout=TIMEOUT_S, command_timeout=TIMEOUT_S, server_settings=_SETTINGS
            )
            self._append = await self._connection.prepare(_APPEND)
        return self._connection

    async def _run(self, connection: asyncpg.Connection[Any], events: Sequence[NewEvent]) -> list[Outcome]:
        if not any(event.accepts or event.due for event in events):
            return await self._call(events)
        async with connection.transaction():
            outcomes = await self._call(events)
            both = list(zip(events, outcomes, strict=True))
            accepts = [(event.chat, event.accepts) for event, outcome in both if event.accepts and outcome[0] <= KNOWN]
            if accepts:
                await connection.execute(_ACCEPT, *map(list, zip(*accepts, strict=True)))
            due = [(event.due, event.chat, outcome[1]) for event, outcome in both if event.due and outcome[0] == NEW]
            if due:
                await connection.execute(_DUE, *map(list, zip(*due, strict=True)))
        return outcomes

    async def _call(self, events: Sequence[NewEvent]) -> list[Outcome]:
        rows = await self._append.fetch(
            _numbers([e.chat for e in events]),
            [e.mid for e in events],
            _numbers([e.epoch for e in events]),
            _numbers([e.kind for e in events]),
            _numbers([e.ts for e in events]),
            [e.body for e in events],
        )
        return [tuple(row) for row in rows]


def _numbers(values: list[int]) -> str:
    """PostgreSQL's text form of an array."""
    return f"{{{','.join(map(str, values))}}}"
