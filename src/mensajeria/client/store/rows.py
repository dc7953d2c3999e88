"""Raw rows of the log, kept exactly as they came until each is verified; then only as evidence or while waiting."""

from __future__ import annotations

from typing import Final

from mensajeria.client.store.chats import chat_key
from mensajeria.client.store.db import Db, Row
from mensajeria.client.store.errors import StoreMisuseError
from mensajeria.client.store.values import MAX_SEQ, RawRow, RowOutcome
from mensajeria.protocol.ids import ChatId, SessionId

_SELECT: Final = (
    "SELECT c.chat_id, r.seq, r.kind, r.server_ms, r.body, r.session_id, r.outcome "
    "FROM rows r JOIN chats c ON c.key = r.chat"
)


class Rows:
    """`tx.rows`."""

    __slots__ = ("_db",)

    def __init__(self, db: Db) -> None:
        self._db = db

    def put(self, row: RawRow) -> None:
        """Keep a raw row (or change why it is kept). Raises StoreMisuseError for a seq that no log reaches."""
        if not 0 < row.seq <= MAX_SEQ:
            raise StoreMisuseError("seq out of range")
        self._db.execute(
            "INSERT OR REPLACE INTO rows VALUES(?, ?, ?, ?, ?, ?, ?)",
            chat_key(self._db, row.chat_id),
            row.seq,
            row.kind,
            row.server_ms,
            row.body,
            row.session_id,
            row.outcome.value,
        )

    def get(self, chat_id: ChatId, seq: int) -> RawRow | None:
        """The raw row `seq`, None when it is not kept (any more)."""
        row = self._db.one(f"{_SELECT} WHERE c.chat_id = ? AND r.seq = ?", chat_id, seq)
        return None if row is None else _row(row)

    def with_outcome(self, chat_id: ChatId, outcome: RowOutcome, limit: int = 500) -> tuple[RawRow, ...]:
        """The chat's rows kept for this reason, oldest first."""
        sql = f"{_SELECT} WHERE c.chat_id = ? AND r.outcome = ? ORDER BY r.seq LIMIT ?"
        return tuple(map(_row, self._db.all(sql, chat_id, outcome.value, limit)))

    def waiting_for(self, chat_id: ChatId, session_id: SessionId, limit: int = 500) -> tuple[RawRow, ...]:
        """Rows that wait for the key of a session, oldest first."""
        sql = f"{_SELECT} WHERE c.chat_id = ? AND r.session_id = ? AND r.outcome = ? ORDER BY r.seq LIMIT ?"
        return tuple(map(_row, self._db.all(sql, chat_id, session_id, RowOutcome.WAITING.value, limit)))

    def closed_for(
        self, chat_id: ChatId, session_id: SessionId, after: int = 0, limit: int = 500
    ) -> tuple[RawRow, ...]:
        """Rows above `after` that wait for the key of a session or were given up for lack of it, oldest first."""
        sql = (
            f"{_SELECT} WHERE c.chat_id = ? AND r.session_id = ? AND r.outcome IN ('waiting', 'lost') AND r.seq > ? "
            "ORDER BY r.seq LIMIT ?"
        )
        return tuple(map(_row, self._db.all(sql, chat_id, session_id, after, limit)))

    def remove(self, chat_id: ChatId, seq: int) -> None:
        """The row is verified and shown: its ciphertext is not needed any more."""
        self._db.execute("DELETE FROM rows WHERE chat = ? AND seq = ?", chat_key(self._db, chat_id), seq)


def _row(row: Row) -> RawRow:
    chat_id, seq, kind, server_ms, body, session_id, outcome = row
    session = None if session_id is None else SessionId(session_id)
    return RawRow(ChatId(chat_id), seq, kind, server_ms, body, session, RowOutcome(outcome))
