"""Rows that are erased on the server: own wishes that wait, and the tombstones that others left."""

from __future__ import annotations

from dataclasses import dataclass

from mensajeria.client.store.chats import chat_key
from mensajeria.client.store.db import Db
from mensajeria.protocol.ids import ChatId, Mid, SessionId


@dataclass(frozen=True, slots=True)
class Erasure:
    """A message whose ciphertext the server is to erase: an own one by its token, another's as an admin."""

    mid: Mid
    own: bool


@dataclass(frozen=True, slots=True)
class BareTombstone:
    """An erased row of which no delete message is known (yet). `order`: where its notice stands."""

    seq: int
    server_ms: int
    order: int | None


class Erasures:
    """`tx.erasures`."""

    __slots__ = ("_db",)

    def __init__(self, db: Db) -> None:
        self._db = db

    # --- own wishes ---

    def want(self, chat_id: ChatId, mid: Mid, *, own: bool, carrier: Mid) -> None:
        """Erase a message once the delete message `carrier` is stored: earlier, nobody would know who erased it."""
        self._db.execute(
            "INSERT OR REPLACE INTO erasures VALUES(?, ?, ?, ?)", chat_key(self._db, chat_id), mid, own, carrier
        )

    def sent(self, chat_id: ChatId, carrier: Mid) -> bool:
        """The delete message is stored; whether something can be erased now."""
        sql = "UPDATE erasures SET carrier = NULL WHERE chat = ? AND carrier = ?"
        return self._db.changed(sql, chat_key(self._db, chat_id), carrier) > 0

    def unwant(self, chat_id: ChatId, carrier: Mid) -> None:
        """The delete message will not be sent."""
        self._db.execute("DELETE FROM erasures WHERE chat = ? AND carrier = ?", chat_key(self._db, chat_id), carrier)

    def due(self, limit: int) -> tuple[tuple[ChatId, tuple[Erasure, ...]], ...]:
        """What the server can be asked to erase, up to `limit` messages of each chat."""
        chats = list(
            self._db.all(
                "SELECT DISTINCT c.key, c.chat_id FROM erasures e JOIN chats c ON c.key = e.chat WHERE carrier IS NULL"
            )
        )
        sql = "SELECT mid, own FROM erasures WHERE chat = ? AND carrier IS NULL LIMIT ?"
        return tuple(
            (ChatId(chat_id), tuple(Erasure(Mid(mid), bool(own)) for mid, own in self._db.all(sql, key, limit)))
            for key, chat_id in chats
        )

    def done(self, chat_id: ChatId, mid: Mid) -> None:
        """The server has answered: nothing more to ask."""
        self._db.execute("DELETE FROM erasures WHERE chat = ? AND mid = ?", chat_key(self._db, chat_id), mid)

    # --- tombstones ---

    def note_tombstone(self, chat_id: ChatId, session_id: SessionId, idx: int, tombstone: BareTombstone) -> None:
        """An erased row was met."""
        self._db.execute(
            "INSERT OR IGNORE INTO tombstones VALUES(?, ?, ?, ?, ?, ?)",
            chat_key(self._db, chat_id),
            session_id,
            idx,
            tombstone.seq,
            tombstone.server_ms,
            tombstone.order,
        )

    def take_tombstone(self, chat_id: ChatId, session_id: SessionId, idx: int) -> BareTombstone | None:
        """The erased row of this index, None when none was met (or it was taken)."""
        sql = "DELETE FROM tombstones WHERE chat = ? AND session_id = ? AND idx = ? RETURNING seq, server_ms, ord"
        row = self._db.one(sql, chat_key(self._db, chat_id), session_id, idx)
        return None if row is None else BareTombstone(*row)
