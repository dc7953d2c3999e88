"""Own rows as they were sent, for who has lost one; and the rows of others that were lost here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mensajeria.client.store.chats import chat_key
from mensajeria.client.store.db import Db, Row
from mensajeria.protocol.ids import ChatId, Did, Mid, SessionId, Uid

KEPT_ROWS: Final = 5_000
"""Own rows that are kept, the newest ones."""
MAX_HOLES: Final = 1_000
"""Lost rows that are asked for at one time; a server that alters more has its places, and no more questions."""
_HOLE: Final = (
    "SELECT c.chat_id, h.session_id, h.idx, h.uid, h.did, h.ord, h.seq, h.server_ms, h.step, h.next_ms "
    "FROM holes h JOIN chats c ON c.key = h.chat"
)


@dataclass(frozen=True, slots=True)
class SentRow:
    """An own row. `placed`: it is a message with a place of its own, which may have been deleted since."""

    mid: Mid
    placed: bool
    outer: bytes


class SentRows:
    """`tx.sent_rows`."""

    __slots__ = ("_db",)

    def __init__(self, db: Db) -> None:
        self._db = db

    def keep(self, chat_id: ChatId, session_id: SessionId, idx: int, row: SentRow, at_ms: int) -> None:
        """The server has stored it. The oldest of many are forgotten."""
        self._db.execute(
            "INSERT OR IGNORE INTO sent_rows(chat, session_id, idx, mid, placed, outer, at_ms) "
            "VALUES(?, ?, ?, ?, ?, ?, ?)",
            chat_key(self._db, chat_id),
            session_id,
            idx,
            row.mid,
            row.placed,
            row.outer,
            at_ms,
        )
        self._db.execute("DELETE FROM sent_rows WHERE position <= (SELECT max(position) FROM sent_rows) - ?", KEPT_ROWS)

    def get(self, chat_id: ChatId, session_id: SessionId, idx: int, since_ms: int) -> SentRow | None:
        """The row of that index, if it is kept and not older."""
        sql = "SELECT mid, placed, outer FROM sent_rows WHERE session_id = ? AND idx = ? AND chat = ? AND at_ms >= ?"
        row = self._db.one(sql, session_id, idx, chat_key(self._db, chat_id), since_ms)
        return None if row is None else SentRow(Mid(row[0]), bool(row[1]), row[2])


@dataclass(frozen=True, slots=True)
class Hole:
    """A row that is known to have been sent and was not had: its author, and the place that tells of it."""

    chat_id: ChatId
    session_id: SessionId
    idx: int
    uid: Uid
    did: Did
    order: int
    seq: int
    server_ms: int
    step: int = 0
    next_ms: int = 0


class Holes:
    """`tx.holes`."""

    __slots__ = ("_db",)

    def __init__(self, db: Db) -> None:
        self._db = db

    def add(self, hole: Hole) -> bool:
        """Note a lost row; False when it is known, or too many are."""
        if (self._db.value("SELECT count(*) FROM holes") or 0) >= MAX_HOLES:
            return False
        sql = "INSERT OR IGNORE INTO holes VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        return self._db.changed(sql, *self._values(hole)) > 0

    def put(self, hole: Hole) -> None:
        """Store what has become of asking."""
        self._db.execute("INSERT OR REPLACE INTO holes VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", *self._values(hole))

    def get(self, chat_id: ChatId, session_id: SessionId, idx: int) -> Hole | None:
        """The lost row of that index."""
        row = self._db.one(f"{_HOLE} WHERE c.chat_id = ? AND h.session_id = ? AND h.idx = ?", chat_id, session_id, idx)
        return None if row is None else _hole(row)

    def due(self, now_ms: int, limit: int = 64) -> tuple[Hole, ...]:
        """What is to be asked for now."""
        rows = self._db.all(f"{_HOLE} WHERE h.next_ms <= ? ORDER BY h.next_ms LIMIT ?", now_ms, limit)
        return tuple(map(_hole, rows))

    def next_due_ms(self) -> int | None:
        """When the next question is due."""
        value: int | None = self._db.value("SELECT min(next_ms) FROM holes")
        return value

    def remove(self, hole: Hole) -> None:
        """It is here, or given up."""
        sql = "DELETE FROM holes WHERE chat = ? AND session_id = ? AND idx = ?"
        self._db.execute(sql, chat_key(self._db, hole.chat_id), hole.session_id, hole.idx)

    def _values(self, hole: Hole) -> tuple[object, ...]:
        return (
            chat_key(self._db, hole.chat_id),
            hole.session_id,
            hole.idx,
            hole.uid,
            hole.did,
            hole.order,
            hole.seq,
            hole.server_ms,
            hole.step,
            hole.next_ms,
        )


def _hole(row: Row) -> Hole:
    chat_id, session_id, idx, uid, did, order, seq, server_ms, step, next_ms = row
    return Hole(ChatId(chat_id), SessionId(session_id), idx, Uid(uid), Did(did), order, seq, server_ms, step, next_ms)
