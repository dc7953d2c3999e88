"""The chats' logs in SQLite, through the one writer thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from mensajeria.protocol.frames import EventKind
from mensajeria.server.chats import log
from mensajeria.server.chats.log import BatchRefusedError, LogUnavailableError, NewEvent, Outcome
from mensajeria.server.db.sqlite_writer import SqliteWriter, WriterClosedError

_HEAD = "SELECT last_seq, epoch FROM chat WHERE id = ?"
_STORED = "SELECT seq, ts, kind, body FROM event WHERE chat = ? AND mid = ?"
_INSERT = "INSERT INTO event (chat, seq, mid, ts, kind, body) VALUES (?, ?, ?, ?, ?, ?)"
_ADVANCE = "UPDATE chat SET last_seq = ?, last_ms = max(last_ms, ?) WHERE id = ?"
_DUE = "INSERT INTO event_due (due_ms, chat, seq) VALUES (?, ?, ?)"
_ACCEPT = "UPDATE chat_member SET accepted = 1, declined = 0 WHERE chat = ? AND account = ?"

Row = tuple[int, int, bytes, int, int, bytes]


class SqliteEventLog:
    """See `EventLog`."""

    def __init__(self, writer: SqliteWriter) -> None:
        self._writer = writer

    async def append(self, events: Sequence[NewEvent]) -> list[Outcome]:
        """See `EventLog.append`."""
        try:
            return await self._writer.run(lambda connection: append(connection, events))
        except (sqlite3.OperationalError, WriterClosedError) as error:  # locked, disk full, I/O error, closed
            raise LogUnavailableError from error
        except sqlite3.Error as error:
            raise BatchRefusedError from error

    async def locked(self, _events: Sequence[NewEvent]) -> frozenset[int]:
        """See `EventLog.locked`. There is one writer."""
        return frozenset()

    async def close(self) -> None:
        """The writer belongs to the database."""


def append(connection: sqlite3.Connection, events: Sequence[NewEvent]) -> list[Outcome]:
    """Append a batch inside the writer's transaction.

    Nearly always every row is new, so the lookups are left out first: the unique index tells when that was wrong.
    """
    connection.execute("SAVEPOINT batch")
    try:
        outcomes = _Numbering(connection, look_up=False).append(events)
    except sqlite3.IntegrityError:
        connection.execute("ROLLBACK TO batch")
        outcomes = _Numbering(connection, look_up=True).append(events)
    connection.execute("RELEASE batch")
    return outcomes


class _Numbering:
    """Gives sequence numbers to one batch."""

    def __init__(self, connection: sqlite3.Connection, *, look_up: bool) -> None:
        self._connection = connection
        self._look_up = look_up
        self._heads: dict[int, tuple[int, int] | None] = {}
        self._last: dict[int, tuple[int, int]] = {}
        self._rows: list[Row] = []

    def append(self, events: Sequence[NewEvent]) -> list[Outcome]:
        outcomes = [self._place(event) for event in events]
        self._connection.executemany(_INSERT, self._rows)
        self._connection.executemany(_ADVANCE, [(seq, ts, chat) for chat, (seq, ts) in self._last.items()])
        accepts = [
            (event.chat, event.accepts)
            for event, outcome in zip(events, outcomes, strict=True)
            if event.accepts and outcome[0] <= log.KNOWN
        ]
        if accepts:
            self._connection.executemany(_ACCEPT, accepts)
        due = [
            (event.due, event.chat, outcome[1])
            for event, outcome in zip(events, outcomes, strict=True)
            if event.due and outcome[0] == log.NEW
        ]
        if due:
            self._connection.executemany(_DUE, due)
        return outcomes

    def _place(self, event: NewEvent) -> Outcome:
        chat = event.chat
        if chat not in self._heads:
            self._heads[chat] = self._connection.execute(_HEAD, (chat,)).fetchone()
        head = self._heads[chat]
        if head is None:
            return (log.UNKNOWN_CHAT, 0, event.ts)
        if self._look_up and (stored := self._stored(event)) is not None:
            return stored
        if event.epoch < head[1]:
            # A row that was stored before the epoch moved is still known, whatever its epoch.
            return self._stored(event) or (log.STALE_EPOCH, 0, event.ts)
        seq, latest = self._last.get(chat, (head[0], 0))
        self._last[chat] = (seq + 1, max(latest, event.ts))
        self._rows.append((chat, seq + 1, event.mid, event.ts, event.kind, event.body))
        return (log.NEW, seq + 1, event.ts)

    def _stored(self, event: NewEvent) -> Outcome | None:
        row = self._connection.execute(_STORED, (event.chat, event.mid)).fetchone()
        if row is None:
            return None
        seq, ts, kind, body = row
        if body == event.body or kind == EventKind.TOMBSTONE:
            return (log.KNOWN, seq, ts)
        return (log.MID_CONFLICT, seq, ts)
