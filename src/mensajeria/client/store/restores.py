"""Rewinding a chat whose log the server has lost the end of: what stood there waits for its new place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from mensajeria.client.api import MessageKind
from mensajeria.client.store.chats import chat_key, recount
from mensajeria.client.store.db import Db
from mensajeria.client.store.errors import StoreMisuseError
from mensajeria.client.store.message_rows import SELECT, message_of
from mensajeria.client.store.removal import drop_message
from mensajeria.client.store.values import ORDER_SHIFT, PENDING_BASE, Change
from mensajeria.protocol.ids import ChatId, Mid, SessionId, Uid

_BEHIND: Final = (1 << ORDER_SHIFT) - 1
_SENT_BY_HERE: Final = (
    "m.outgoing AND EXISTS (SELECT 1 FROM megolm_inbound i WHERE i.session_id = m.session_id AND i.chat = m.chat "
    "AND i.uid = ? AND i.did = ?)"
)


@dataclass(frozen=True, slots=True)
class LostMessage:
    """An own message that the server has lost, as it can be sent again."""

    mid: Mid
    kind: MessageKind
    text: str
    file: bytes | None
    expire_s: int
    reply: tuple[Uid, Mid] | None
    created_ms: int


@dataclass(frozen=True, slots=True)
class LostChange:
    """An own edit, reaction or delete that the server has lost."""

    mid: Mid
    kind: str
    about: tuple[Uid, Mid]
    value: str
    created_ms: int


class Restores:
    """`tx.restores`: only what follows a declared restore of the server."""

    __slots__ = ("_db",)

    def __init__(self, db: Db) -> None:
        self._db = db

    # --- what the server has lost ---

    def own_messages(
        self, chat_id: ChatId, fork: int, uid: Uid, did: bytes, *, edited: bool
    ) -> tuple[LostMessage, ...]:
        """Texts and files that this device sent behind the row `fork`, oldest first: as `edited` or as first sent."""
        text = "m.text" if edited else "coalesce(m.original, m.text)"
        sql = (
            f"SELECT m.mid, m.kind, {text}, f.body, m.expire_s, m.reply_uid, m.reply_mid, m.sent_ms FROM messages m "
            "LEFT JOIN attachments f ON f.message = m.id WHERE m.chat = ? AND m.seq > ? "
            f"AND m.kind IN ('text', 'file') AND {_SENT_BY_HERE} ORDER BY m.ord"
        )
        rows = self._db.all(sql, chat_key(self._db, chat_id), fork, uid, did)
        return tuple(
            LostMessage(
                Mid(mid),
                MessageKind(kind),
                text,
                file,
                expire_s,
                None if about is None else (Uid(author), Mid(about)),
                sent_ms,
            )
            for mid, kind, text, file, expire_s, author, about, sent_ms in rows
        )

    def own_changes(self, chat_id: ChatId, fork: int, uid: Uid) -> tuple[LostChange, ...]:
        """Edits, reactions and deletes of this account behind the row `fork`, oldest first."""
        sql = (
            "SELECT mid, kind, target_uid, target_mid, value, at_ms FROM changes "
            "WHERE chat = ? AND sender = ? AND seq > ? ORDER BY seq"
        )
        rows = self._db.all(sql, chat_key(self._db, chat_id), uid, fork)
        return tuple(
            LostChange(Mid(mid), kind, (Uid(author), Mid(about)), value, at_ms)
            for mid, kind, author, about, value, at_ms in rows
        )

    def last_kept(self, chat_id: ChatId, fork: int, uid: Uid, did: bytes) -> tuple[SessionId, int] | None:
        """Session and index of this device's last message that the server still has."""
        sql = (
            f"SELECT m.session_id, m.idx FROM messages m WHERE m.chat = ? AND m.seq <= ? AND {_SENT_BY_HERE} "
            "ORDER BY m.seq DESC LIMIT 1"
        )
        row = self._db.one(sql, chat_key(self._db, chat_id), fork, uid, did)
        return None if row is None else (SessionId(row[0]), row[1])

    # --- rewinding ---

    def rewind(self, chat_id: ChatId, fork: int, resent: Iterable[Mid]) -> None:
        """Everything behind the row `fork` loses its row; `resent` of it is queued again.

        What others wrote stays where people saw it, right behind `fork`, until its author has sent it again.
        """
        key = chat_key(self._db, chat_id)
        self._settle_counts(key, fork)
        self._drop_placeholders(key, fork)
        self._let_in_again(key, fork)
        self._queue(key, resent)
        self._detach(key, fork)
        self._db.execute("UPDATE changes SET seq = NULL WHERE chat = ? AND seq > ?", key, fork)
        self._db.execute("DELETE FROM tombstones WHERE chat = ? AND seq > ?", key, fork)
        self._db.execute("UPDATE member_events SET chat_seq = 0 WHERE chat = ? AND chat_seq > ?", key, fork)
        self._db.execute("UPDATE timers SET seq = min(seq, ?) WHERE chat = ?", fork, key)
        self._db.execute("UPDATE group_members SET read_seq = min(read_seq, ?) WHERE chat = ?", fork, key)
        self._db.execute(
            "UPDATE chats SET cursor = ?1, last_seq = ?1, cursor_sent = min(cursor_sent, ?1), "
            "peer_delivered = min(peer_delivered, ?1), peer_read = min(peer_read, ?1), read_seq = min(read_seq, ?1), "
            "read_sent = min(read_sent, ?1) WHERE key = ?2",
            fork,
            key,
        )
        recount(self._db, key)

    def set_previous(self, chat_id: ChatId, last: tuple[SessionId, int] | None) -> None:
        """What the next own session names as the end of the one before."""
        self._db.execute(
            "UPDATE chats SET prev_session = ?, prev_idx = ? WHERE chat_id = ?", *(last or (None, None)), chat_id
        )

    def _settle_counts(self, key: int, fork: int) -> None:
        """What was read stays read at its new place."""
        sql = (
            "UPDATE messages SET counted = 0 WHERE chat = ? AND ord > ? AND counted "
            "AND ord <= (SELECT (read_seq << 16) | 65535 FROM chats WHERE key = ?)"
        )
        self._db.execute(sql, key, (fork << ORDER_SHIFT) | _BEHIND, key)

    def _drop_placeholders(self, key: int, fork: int) -> None:
        """Places of rows that could not be read, and of membership events: the rows come anew."""
        sql = (
            "SELECT m.id FROM messages m WHERE m.chat = ? AND m.seq > ? AND (m.kind = 'unreadable' "
            "OR m.seq IN (SELECT r.seq FROM rows r WHERE r.chat = m.chat) "
            "OR (m.kind = 'notice' AND m.seq IN (SELECT e.chat_seq FROM member_events e WHERE e.chat = m.chat)))"
        )
        for (message_id,) in self._db.all(sql, key, fork):
            drop_message(self._db, message_id)
        self._db.execute("DELETE FROM rows WHERE chat = ? AND seq > ?", key, fork)

    def _let_in_again(self, key: int, fork: int) -> None:
        """The ids of what its authors will send again: another ciphertext under them is no replay."""
        for table in ("messages", "changes"):
            self._db.execute(
                "DELETE FROM seen_mids WHERE chat = ? AND (mid, uid) IN "
                f"(SELECT mid, sender FROM {table} WHERE chat = ? AND seq > ?)",
                key,
                key,
                fork,
            )

    def _queue(self, key: int, mids: Iterable[Mid]) -> None:
        last = self._db.value("SELECT max(ord) FROM messages WHERE chat = ?", key) or 0
        for order, mid in enumerate(mids, max(PENDING_BASE, last + 1)):
            self._db.execute(
                "UPDATE messages SET ord = ?, seq = NULL, server_ms = 0, state = 'queued', session_id = NULL, "
                "idx = NULL WHERE chat = ? AND mid = ? AND outgoing",
                order,
                key,
                mid,
            )

    def _detach(self, key: int, fork: int) -> None:
        """The rest, in its order, right behind `fork`; where there are too many, they stay in places of no row."""
        end = (fork << ORDER_SHIFT) | _BEHIND
        last = self._db.value("SELECT max(ord) FROM messages WHERE chat = ? AND ord <= ?", key, end) or 0
        free = max(fork << ORDER_SHIFT, last) + 1
        sql = "SELECT id FROM messages WHERE chat = ? AND ord > ? AND ord < ? ORDER BY ord"
        for order, (message_id,) in enumerate(self._db.all(sql, key, end, PENDING_BASE), free):
            if order <= end:
                self._db.execute("UPDATE messages SET ord = ?, seq = NULL WHERE id = ?", order, message_id)
            else:
                self._db.execute("UPDATE messages SET seq = NULL WHERE id = ?", message_id)

    # --- what comes again ---

    def place(self, chat_id: ChatId, mid: Mid, sender: Uid, seq: int, server_ms: int) -> Change:
        """A message that waited for its row has it: it stands there now, as it was first shown."""
        key = chat_key(self._db, chat_id)
        low, high = seq << ORDER_SHIFT, (seq << ORDER_SHIFT) | _BEHIND
        taken = self._db.value("SELECT max(ord) FROM messages WHERE chat = ? AND ord BETWEEN ? AND ?", key, low, high)
        order = low if taken is None else taken + 1
        message_id, previous = self._db.one(
            "SELECT id, ord FROM messages WHERE chat = ? AND mid = ? AND sender = ?", key, mid, sender
        ) or (None, 0)
        if message_id is None or order > high:
            raise StoreMisuseError("no such message, or no place for it")
        sql = "UPDATE messages SET ord = ?, seq = ?, server_ms = ? WHERE id = ?"
        self._db.execute(sql, order, seq, server_ms, message_id)
        recount(self._db, key)
        shown = self._db.one(f"{SELECT} WHERE c.chat_id = ? AND m.ord = ?", chat_id, order)
        assert shown is not None, "just placed"
        return Change(message_of(shown), previous)

    def waits(self, chat_id: ChatId, mid: Mid, sender: Uid) -> bool:
        """Whether a message that is shown here waits for the row in which its author sends it again."""
        sql = (
            "SELECT 1 FROM messages WHERE chat = ? AND mid = ? AND sender = ? AND seq IS NULL "
            "AND state IN ('received', 'sent', 'delivered', 'read')"
        )
        return self._db.one(sql, chat_key(self._db, chat_id), mid, sender) is not None
