"""The chats' logs in PostgreSQL: one call of a function per batch, on a connection of its own.

`append_new` is asked first: it takes the rows to be new, as nearly all are, and fails if one is not. `append_events`
then judges each row, for this batch and some that follow: who sends again does so several times. A row that is alone,
as nearly all are on a quiet server, is appended by a plain statement, at two thirds of the time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any, Final

import asyncpg

from mensajeria.server.chats.log import (
    KNOWN,
    NEW,
    BatchRefusedError,
    ChatsLockedError,
    LogUnavailableError,
    NewEvent,
    Outcome,
)
from mensajeria.server.db.postgres_lane import AWAY, SETTINGS, TIMEOUT_S

_APPEND_NEW: Final = """SELECT append_new($1::text::bigint[], $2::text::bigint[], $3::text::smallint[],
$4::text::bigint[], $5::text::int[], $6::text::int[], $7, $8)"""
APPEND_ONE: Final = """WITH c AS (UPDATE chat SET last_seq = last_seq + 1, last_ms = greatest(last_ms, $4)
WHERE id = $1 AND epoch <= $2 RETURNING last_seq)
INSERT INTO event (chat, seq, mid, ts, kind, body) SELECT $1, c.last_seq, $5, $4, $3, $6 FROM c RETURNING seq"""
_APPEND: Final = """SELECT status, seq, ts FROM append_events(
$1::text::bigint[], $2, $3::text::bigint[], $4::text::smallint[], $5::text::bigint[], $6)"""
"""Numbers travel as text: the driver would look at each of them for an array within the array."""
_ACCEPT: Final = """UPDATE chat_member m SET accepted = true, declined = false
FROM unnest($1::bigint[], $2::bigint[]) AS a(chat, account) WHERE m.chat = a.chat AND m.account = a.account"""
_DUE: Final = "INSERT INTO event_due (due_ms, chat, seq) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])"
_LOCKED_CHATS: Final = """WITH free AS (SELECT id FROM chat WHERE id = ANY($1) FOR NO KEY UPDATE SKIP LOCKED)
SELECT id FROM chat WHERE id = ANY($1) AND id NOT IN (SELECT id FROM free)"""
_LOCKED_MEMBERS: Final = """WITH asked AS (SELECT * FROM unnest($1::bigint[], $2::bigint[]) AS a(chat, account)),
free AS (SELECT m.chat, m.account FROM chat_member m JOIN asked USING (chat, account)
  FOR NO KEY UPDATE OF m SKIP LOCKED)
SELECT m.chat FROM chat_member m JOIN asked USING (chat, account)
WHERE (m.chat, m.account) NOT IN (SELECT chat, account FROM free)"""
_SETTINGS: Final = {
    "application_name": "mensajeria-log",
    "synchronous_commit": "on",  # acked means durable, whatever the database's default is
    "lock_timeout": "250ms",  # many commits: who keeps a chat for longer must not hold up the others of the batch
    **SETTINGS,
}
CAREFUL: Final = 64
"""Batches whose rows are judged one by one after one that had something else than new rows."""
TRIES: Final = 3
_ONCE_MORE: Final = (
    asyncpg.UniqueViolationError,  # a row was not new
    asyncpg.RaiseError,  # what `append_new` says of unknown chats and stale epochs
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
)
"""What another try, a careful one, may mend."""


class PostgresEventLog:
    """See `EventLog`. Opens its connection at the first batch and again after it was lost."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: asyncpg.Connection[Any] | None = None
        self._append: Any = None
        self._append_new: Any = None
        self._append_one: Any = None
        self._careful = 0

    async def append(self, events: Sequence[NewEvent]) -> list[Outcome]:
        """See `EventLog.append`."""
        try:
            connection = await self._connected()
            for _ in range(TRIES - 1):
                try:
                    return await self._run(connection, events)
                except _ONCE_MORE:
                    self._careful = CAREFUL
            return await self._run(connection, events)
        except AWAY as error:
            await self.close()
            raise LogUnavailableError from error
        except asyncpg.LockNotAvailableError as error:
            raise ChatsLockedError from error
        except asyncpg.PostgresError as error:
            raise BatchRefusedError from error

    async def locked(self, events: Sequence[NewEvent]) -> frozenset[int]:
        """See `EventLog.locked`. A whole table that is locked, as by a migration, is waited for."""
        accepts = [(event.chat, event.accepts) for event in events if event.accepts]
        try:
            connection = await self._connected()
            async with connection.transaction():
                await connection.execute("SET LOCAL lock_timeout = 0")
                rows = await connection.fetch(_LOCKED_CHATS, [event.chat for event in events])
                if accepts:
                    rows += await connection.fetch(_LOCKED_MEMBERS, *map(list, zip(*accepts, strict=True)))
        except (*AWAY, asyncpg.PostgresError) as error:
            await self.close()
            raise LogUnavailableError from error
        return frozenset(chat for (chat,) in rows)

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
            self._append_new = await self._connection.prepare(_APPEND_NEW)
            self._append_one = await self._connection.prepare(APPEND_ONE)
        return self._connection

    async def _run(self, connection: asyncpg.Connection[Any], events: Sequence[NewEvent]) -> list[Outcome]:
        call = self._call
        if self._careful:
            self._careful -= 1
            call = self._call_carefully
        if not any(event.accepts or event.due for event in events):
            return await call(events)
        async with connection.transaction():
            outcomes = await call(events)
            both = list(zip(events, outcomes, strict=True))
            accepts = [(event.chat, event.accepts) for event, outcome in both if event.accepts and outcome[0] <= KNOWN]
            if accepts:
                await connection.execute(_ACCEPT, *map(list, zip(*accepts, strict=True)))
            due = [(event.due, event.chat, outcome[1]) for event, outcome in both if event.due and outcome[0] == NEW]
            if due:
                await connection.execute(_DUE, *map(list, zip(*due, strict=True)))
        return outcomes

    async def _call(self, events: Sequence[NewEvent]) -> list[Outcome]:
        if len(events) == 1:
            (event,) = events
            seq = await self._append_one.fetchval(event.chat, event.epoch, event.kind, event.ts, event.mid, event.body)
            # No row: the chat is unknown or the epoch stale, and nothing is stored.
            return await self._call_carefully(events) if seq is None else [(NEW, seq, event.ts)]
        bodies = [event.body for event in events]
        lengths = list(map(len, bodies))
        seqs = await self._append_new.fetchval(
            _numbers([e.chat for e in events]),
            _numbers([e.epoch for e in events]),
            _numbers([e.kind for e in events]),
            _numbers([e.ts for e in events]),
            _numbers(accumulate(lengths[:-1], initial=0)),
            _numbers(lengths),
            b"".join([e.mid for e in events]),
            b"".join(bodies),
        )
        return [(NEW, seq, event.ts) for seq, event in zip(seqs, events, strict=True)]

    async def _call_carefully(self, events: Sequence[NewEvent]) -> list[Outcome]:
        rows = await self._append.fetch(
            _numbers([e.chat for e in events]),
            [e.mid for e in events],
            _numbers([e.epoch for e in events]),
            _numbers([e.kind for e in events]),
            _numbers([e.ts for e in events]),
            [e.body for e in events],
        )
        return [tuple(row) for row in rows]


def _numbers(values: Iterable[int]) -> str:
    """PostgreSQL's text form of an array."""
    return f"{{{','.join(map(str, values))}}}"
