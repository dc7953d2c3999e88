"""Disappearing messages: the timers of direct chats, and what is due."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mensajeria.client.api import Message
from mensajeria.client.store.chats import chat_key, recount
from mensajeria.client.store.db import Db
from mensajeria.client.store.message_rows import SELECT, message_of
from mensajeria.client.store.removal import drop_message
from mensajeria.protocol.ids import ChatId, Mid, SessionId, Uid

_CLOCK: Final = "timers_clock"
"""Counter of the meta table: wall-clock time at the last look at the timers."""


@dataclass(frozen=True, slots=True)
class Expired:
    """A message that was removed because its time was over."""

    chat_id: ChatId
    mid: Mid
    sender: Uid
    order: int


class Timers:
    """`tx.timers`."""

    __slots__ = ("_db",)

    def __init__(self, db: Db) -> None:
        self._db = db

    # --- the timer of a direct chat ---

    def seconds(self, chat_id: ChatId) -> int:
        """After how long messages written now disappear; 0 = never. The own queued wish counts already."""
        sql = "SELECT coalesce(queued_s, seconds) FROM timers WHERE chat = ?"
        return self._db.value(sql, chat_key(self._db, chat_id)) or 0

    def ever_set(self, chat_id: ChatId, now_s: int = 0) -> bool:
        """Whether the chat has, or had, a timer; `now_s` is that of a group."""
        sql = "SELECT 1 FROM timers WHERE chat = ? AND seq > 0"
        return now_s > 0 or self._db.one(sql, chat_key(self._db, chat_id)) is not None

    def set(self, chat_id: ChatId, seconds: int, seq: int) -> bool:
        """Row `seq` of the log sets the timer; whether it is the newest to do so."""
        sql = (
            "INSERT INTO timers(chat, seconds, seq) VALUES(?, ?, ?) ON CONFLICT(chat) DO UPDATE "
            "SET seconds = excluded.seconds, seq = excluded.seq, "
            "queued_s = CASE WHEN queued_mid IS NULL THEN NULL ELSE queued_s END WHERE excluded.seq > seq"
        )
        return self._db.changed(sql, chat_key(self._db, chat_id), seconds, seq) > 0

    def wish(self, chat_id: ChatId, seconds: int) -> None:
        """A chat that was just begun shall have this timer; it counts already, and nobody is told yet."""
        sql = "INSERT INTO timers(chat, queued_s) VALUES(?, ?) ON CONFLICT(chat) DO NOTHING"
        self._db.execute(sql, chat_key(self._db, chat_id), seconds)

    def wished(self, chat_id: ChatId) -> int | None:
        """The wish that nobody was told of."""
        sql = "SELECT queued_s FROM timers WHERE chat = ? AND queued_s IS NOT NULL AND queued_mid IS NULL"
        found: int | None = self._db.value(sql, chat_key(self._db, chat_id))
        return found

    def queue(self, chat_id: ChatId, seconds: int, mid: Mid) -> None:
        """An own timer message is queued."""
        self._db.execute(
            "INSERT INTO timers(chat, queued_s, queued_mid) VALUES(?, ?, ?) ON CONFLICT(chat) DO UPDATE "
            "SET queued_s = excluded.queued_s, queued_mid = excluded.queued_mid",
            chat_key(self._db, chat_id),
            seconds,
            mid,
        )

    def unqueue(self, chat_id: ChatId, mid: Mid) -> None:
        """The own timer message is sent, or will not be."""
        self._db.execute(
            "UPDATE timers SET queued_s = NULL, queued_mid = NULL WHERE chat = ? AND queued_mid = ?",
            chat_key(self._db, chat_id),
            mid,
        )

    # --- sessions that are not backed up ---

    def note_session(self, session_id: SessionId) -> None:
        """A message that disappears was written in this session."""
        self._db.execute("INSERT OR IGNORE INTO timer_sessions VALUES(?)", session_id)

    def is_timed(self, session_id: SessionId) -> bool:
        """Whether the session has carried messages that disappear."""
        return self._db.one("SELECT 1 FROM timer_sessions WHERE session_id = ?", session_id) is not None

    # --- what is due ---

    def begin(self, now_ms: int) -> tuple[Message, ...]:
        """Start the clock of what was read, and of own messages that were sent; those messages."""
        sql = (
            "UPDATE messages SET expires_ms = ? + expire_s * 1000 WHERE expire_s > 0 AND expires_ms IS NULL AND "
            "CASE WHEN outgoing THEN seq IS NOT NULL ELSE "
            "ord <= (SELECT (read_seq << 16) | 65535 FROM chats WHERE key = chat) END RETURNING id"
        )
        begun = [message_id for (message_id,) in self._db.all(sql, now_ms)]
        found = (self._db.one(f"{SELECT} WHERE m.id = ?", message_id) for message_id in begun)
        return tuple(message_of(row) for row in found if row is not None)

    def next_due_ms(self) -> int | None:
        """When the next message disappears."""
        due: int | None = self._db.value("SELECT min(expires_ms) FROM messages WHERE expires_ms IS NOT NULL")
        return due

    def remove_due(self, now_ms: int, limit: int) -> tuple[Expired, ...]:
        """Remove up to `limit` messages whose time is over, the longest overdue first."""
        sql = (
            "SELECT m.id, c.chat_id, m.mid, m.sender, m.ord, m.chat FROM messages m JOIN chats c ON c.key = m.chat "
            "WHERE m.expires_ms <= ? ORDER BY m.expires_ms LIMIT ?"
        )
        due = list(self._db.all(sql, now_ms, limit))
        for row in due:
            drop_message(self._db, row[0])
        for chat in {row[5] for row in due}:
            recount(self._db, chat)
        return tuple(Expired(ChatId(row[1]), Mid(row[2]), Uid(row[3]), row[4]) for row in due)

    def shift(self, by_ms: int) -> None:
        """The wall clock was set: what is left of every running timer stays the same."""
        self._db.execute("UPDATE messages SET expires_ms = expires_ms + ? WHERE expires_ms IS NOT NULL", by_ms)

    def last_look_ms(self) -> int:
        """The wall clock at the last look, 0 = never."""
        return self._db.value("SELECT value FROM meta WHERE name = ?", _CLOCK) or 0

    def looked(self, now_ms: int) -> None:
        """Note the wall clock; it may have gone back."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES(?, ?)", _CLOCK, now_ms)
