"""The chats' logs in PostgreSQL: one statement per batch, on a connection of its own.

`APPEND_NEW` is asked first: it takes the rows to be new, as nearly all are, and fails if one is not. The function
`append_events` then judges each row, for this batch and some that follow: who sends again does so several times. A row
that is alone, as nearly all are on a quiet server, is appended by a smaller statement, at two thirds of the time.
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
from mensajeria.server.db.room import Room

APPEND_NEW: Final = """WITH advanced AS (
  UPDATE chat c SET last_seq = c.last_seq + b.rows, last_ms = greatest(c.last_ms, b.ts)
  FROM unnest($1::text::bigint[], $2::text::int[], $3::text::bigint[], $4::text::bigint[])
    WITH ORDINALITY AS b(chat, rows, epoch, ts, ord)
  WHERE c.id = b.chat AND c.epoch <= b.epoch RETURNING b.ord, c.id, c.last_seq - b.rows AS before
), chats AS (
  SELECT array_agg(id ORDER BY ord) AS ids, array_agg(before ORDER BY ord) AS before, (count(*) = $5)::int AS complete
  FROM advanced
), stored AS (
  INSERT INTO event (chat, seq, mid, ts, kind, body)
  SELECT c.ids[e.at], c.before[e.at] + e.nth / c.complete, substring($12::bytea FROM e.ord::int * 16 - 15 FOR 16),
    e.ts, e.kind, substring($13::bytea FROM e.start + 1 FOR e.length)
  FROM chats c, unnest($6::text::int[], $7::text::int[], $8::text::smallint[], $9::text::bigint[], $10::text::int[],
    $11::text::int[]) WITH ORDINALITY AS e(at, nth, kind, ts, start, length, ord)
)
SELECT before FROM chats"""
"""$1 to $4 say how many rows each chat gets, $5 how many chats these are; the rest are the rows. `at` is a row's chat
among $1, `nth` which of the chat's new rows it is.

The chats come in the order of their ids, and so do the locks: see `SETTINGS` for why each is looked up in turn. A chat
that does not exist, or whose epoch is newer than a row's, is missing in `advanced`: dividing by zero then undoes
everything. Mids and bodies come joined, numbers as text: the driver would look at each element of an array for an array
within it.
"""
APPEND_ONE: Final = """WITH c AS (UPDATE chat SET last_seq = last_seq + 1, last_ms = greatest(last_ms, $4)
WHERE id = $1 AND epoch <= $2 RETURNING last_seq)
INSERT INTO event (chat, seq, mid, ts, kind, body) SELECT $1, c.last_seq, $5, $4, $3, $6 FROM c RETURNING seq"""
_APPEND: Final = """SELECT status, seq, ts FROM append_events(
$1::text::bigint[], $2, $3::text::bigint[], $4::text::smallint[], $5::text::bigint[], $6)"""
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
    asyncpg.DivisionByZeroError,  # a chat is unknown or an epoch stale
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
)
"""What another try, a careful one, may mend."""


class PostgresEventLog:
    """See `EventLog`. Opens its connection at the first batch and again after it was lost."""

    def __init__(self, dsn: str, room: Room | None = None) -> None:
        """`room` is told of a full disk."""
        self._dsn = dsn
        self._room = room or Room()
        self._connection: asyncpg.Connection[Any] | None = None
        self._append: Any = None
        self._append_new: Any = None
        self._append_one: Any = None
        self._careful = 0

    async def append(self, events: Sequence[NewEvent]) -> list[Outcome]:
        """See `EventLog.append`."""
        if not events:
            return []
        try:
            connection = await self._connected()
            for _ in range(TRIES - 1):
                try:
                    return await self._run(connection, events)
                except _ONCE_MORE:
                    self._careful = CAREFUL
            return await self._run(connection, events)
        except AWAY as error:
            self._room.note(error)
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
            self._append_new = await self._connection.prepare(APPEND_NEW)
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
        chats = _chats(events)
        lasts = dict(zip(chats, await self._append_new.fetchval(*_arguments(chats, events)), strict=True))
        outcomes = []
        for event in events:
            seq = lasts[event.chat] = lasts[event.chat] + 1
            outcomes.append((NEW, seq, event.ts))
        return outcomes

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


def _chats(events: Sequence[NewEvent]) -> dict[int, list[int]]:
    """What a batch means for each of its chats, by id in ascending order: rows, lowest epoch, newest time."""
    chats: dict[int, list[int]] = {}
    for event in events:
        known = chats.get(event.chat)
        if known is None:
            chats[event.chat] = [1, event.epoch, event.ts]
        else:
            known[0] += 1
            known[1] = min(known[1], event.epoch)
            known[2] = max(known[2], event.ts)
    return dict(sorted(chats.items()))


def _arguments(chats: dict[int, list[int]], events: Sequence[NewEvent]) -> tuple[str | int | bytes, ...]:
    """Of `APPEND_NEW`."""
    places = {chat: place for place, chat in enumerate(chats, 1)}
    counts = dict.fromkeys(chats, 0)
    nths = []
    for event in events:
        nth = counts[event.chat] = counts[event.chat] + 1
        nths.append(nth)
    rows, epochs, newest = zip(*chats.values(), strict=True)
    bodies = [event.body for event in events]
    lengths = list(map(len, bodies))
    return (
        _numbers(chats),
        _numbers(rows),
        _numbers(epochs),
        _numbers(newest),
        len(chats),
        _numbers([places[e.chat] for e in events]),
        _numbers(nths),
        _numbers([e.kind for e in events]),
        _numbers([e.ts for e in events]),
        _numbers(accumulate(lengths[:-1], initial=0)),
        _numbers(lengths),
        b"".join([e.mid for e in events]),
        b"".join(bodies),
    )
