"""Erasing what is old: rows whose authors set a timer, what the operator does not keep, logs without readers.

In small transactions, so that messages wait for none of it; a kill in between leaves the rest for the next run.
"""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from sqlalchemy import Connection, bindparam, delete, func, select, update

from mensajeria.kit.clock import Clock
from mensajeria.protocol.frames import EventKind
from mensajeria.server.chats.erase import Why, bury, secure_delete, take_unfreed
from mensajeria.server.db.engine import Database
from mensajeria.server.db.failures import DATABASE_ERRORS
from mensajeria.server.db.schema_chats import chat, event
from mensajeria.server.db.schema_content import chat_purge, event_due, member_event, membership, membership_head

ROWS: Final = 200
"""Rows erased in one transaction."""
CHATS: Final = 200
"""Chats looked at in one transaction."""
VACUUM_PAGES: Final = 2000
EVERY_S: Final = 60.0
OLD_EVERY: Final = 60
"""The operator's rule is applied at every 60th run: it counts in days."""
DAY_MS: Final = 24 * 3600 * 1000
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Erased:
    """What a run has done."""

    timers: int = 0
    old: int = 0
    purged: int = 0


@dataclass(frozen=True, slots=True)
class Waiting:
    """What there is to do: rows whose timer has run out, rows with a timer, logs without members."""

    due: int
    timers: int
    purges: int


@dataclass(slots=True)
class Retention:
    """The background job. `days` None or 0: the operator keeps everything."""

    db: Database
    clock: Clock
    days: int | None = None
    _task: asyncio.Task[None] | None = field(default=None, init=False)

    def start(self) -> None:
        """Begin to run now and then."""
        self._task = asyncio.create_task(self._for_ever(), name="retention")

    async def close(self) -> None:
        """Stop; what was begun is undone or done."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def run(self, *, old: bool = True) -> Erased:
        """Erase everything that is due; give the space back."""
        erased, now_ms = Erased(), self.clock.now_ms()
        while count := await self.db.write(lambda db: erase_due(db, now_ms)):
            erased.timers += count
        if old and self.days:
            erased.old = await self._erase_old(now_ms - self.days * DAY_MS)
        while count := await self.db.write(purge_step):
            erased.purged += count
        await free_erased(self.db)
        return erased

    async def _erase_old(self, before_ms: int) -> int:
        total, after = 0, 0
        while True:
            count, last = await self.db.write(lambda db, after=after: erase_old(db, after, before_ms))  # type: ignore[misc]
            total += count
            if last is None:
                return total
            after = last

    async def _for_ever(self) -> None:
        runs = 0
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.run(old=runs % OLD_EVERY == 0)
            except (*DATABASE_ERRORS, sqlite3.Error) as error:
                _log.warning("retention_failed", error=type(error).__name__)
            runs += 1


async def free_erased(db: Database) -> None:
    """Take out of SQLite's files what this process has erased: shrink the one, empty the write-ahead log.

    PostgreSQL vacuums by itself.
    """
    if db.writer is None or not await db.write(take_unfreed):
        return
    pages = 1
    while pages:
        pages = await db.writer.run(_vacuum_step)
    await asyncio.to_thread(_truncate_wal, str(db.url.database))


def waiting(connection: Connection, now_ms: int) -> Waiting:
    """What there is to do now."""
    timers = select(func.count()).select_from(event_due)
    return Waiting(
        connection.execute(timers.where(event_due.c.due_ms <= now_ms)).scalar_one(),
        connection.execute(timers).scalar_one(),
        connection.execute(select(func.count()).select_from(chat_purge)).scalar_one(),
    )


def erase_due(connection: Connection, now_ms: int) -> int:
    """Erase rows whose timer has run out, up to ROWS; how many timers are settled."""
    due = connection.execute(
        select(event_due)
        .where(event_due.c.due_ms <= now_ms)
        .order_by(event_due.c.due_ms, event_due.c.chat, event_due.c.seq)
        .limit(ROWS)
    ).all()
    by_chat: dict[int, list[int]] = {}
    for row in due:
        by_chat.setdefault(row.chat, []).append(row.seq)
    for chat_row, seqs in sorted(by_chat.items()):
        rows = connection.execute(_messages(chat_row).where(event.c.seq.in_(seqs)).with_for_update()).all()
        bury(connection, chat_row, [(row, Why.TIMER) for row in rows])
    if due:
        connection.execute(
            delete(event_due).where(
                event_due.c.due_ms == bindparam("p_due"),
                event_due.c.chat == bindparam("p_chat"),
                event_due.c.seq == bindparam("p_seq"),
            ),
            [{"p_due": row.due_ms, "p_chat": row.chat, "p_seq": row.seq} for row in due],
        )
    return len(due)


def erase_old(connection: Connection, after: int, before_ms: int) -> tuple[int, int | None]:
    """Erase rows that arrived before `before_ms` in some chats above the row id `after`.

    Returns how many, and the chat to go on after: one that is not finished comes again. None: there are no more.
    """
    heads = connection.execute(
        select(chat.c.id, chat.c.kept_from)
        .where(chat.c.id > after, chat.c.kept_from < chat.c.last_seq)
        .order_by(chat.c.id)
        .limit(CHATS)
    ).all()
    total = 0
    for head in heads:
        query = select(event.c.seq, event.c.ts, event.c.kind, event.c.body).where(event.c.chat == head.id)
        page = connection.execute(
            query.where(event.c.seq > head.kept_from).order_by(event.c.seq).limit(ROWS - total)
        ).all()
        old = [row for row in page if row.ts < before_ms]
        if old:
            bury(connection, head.id, [(row, Why.RETENTION) for row in old if row.kind == EventKind.MESSAGE])
            connection.execute(update(chat).where(chat.c.id == head.id).values(kept_from=old[-1].seq))
            total += len(old)
        if total >= ROWS:
            return total, head.id - 1
    return total, heads[-1].id if heads else None


def _messages(chat_row: int) -> Any:
    return select(event.c.seq, event.c.body).where(event.c.chat == chat_row, event.c.kind == EventKind.MESSAGE)


def purge_step(connection: Connection) -> int:
    """Remove up to ROWS rows of a log that its last member has left; how many steps there were to do (0 or more)."""
    found = connection.execute(select(func.min(chat_purge.c.chat))).scalar_one()
    if found is None:
        return 0
    seqs = (
        connection.execute(select(event.c.seq).where(event.c.chat == found).order_by(event.c.seq).limit(ROWS))
        .scalars()
        .all()
    )
    with secure_delete(connection):
        connection.execute(delete(event).where(event.c.chat == found, event.c.seq.in_(seqs)))
        if len(seqs) < ROWS:
            for table in (member_event, membership, membership_head, chat_purge):
                connection.execute(delete(table).where(table.c.chat == found))
    return max(1, len(seqs))


def _vacuum_step(connection: sqlite3.Connection) -> int:
    """Give back up to VACUUM_PAGES pages; how many are left to give back. 0 in a file that was made without this."""
    if connection.execute("PRAGMA auto_vacuum").fetchone()[0] != _INCREMENTAL:
        return 0
    connection.execute(f"PRAGMA incremental_vacuum({VACUUM_PAGES})").fetchall()
    left: int = connection.execute("PRAGMA freelist_count").fetchone()[0]
    return left


def _truncate_wal(path: str) -> None:
    """What was erased still stands in the write-ahead log until that starts anew. A reader may delay that."""
    connection = sqlite3.connect(path, timeout=1)
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.close()


_INCREMENTAL: Final = 2
