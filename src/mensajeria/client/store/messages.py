"""The timelines: what people see, in order, and exactly once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from mensajeria.client.api import Cause, Message, MessageKind, MessageState, Page
from mensajeria.client.store.chats import chat_key, recount
from mensajeria.client.store.contacts import person
from mensajeria.client.store.db import Db, Row
from mensajeria.client.store.errors import StoreMisuseError
from mensajeria.client.store.files import attachment_of
from mensajeria.client.store.fulltext import forget_text
from mensajeria.client.store.message_rows import SELECT, WORDED, known_message, message_at, message_of, values_of
from mensajeria.client.store.places import end_of, is_taken, place_for
from mensajeria.client.store.removal import drop_message
from mensajeria.client.store.values import MAX_NOTICES, ORDER_SHIFT, Change, NewMessage
from mensajeria.protocol.ids import ChatId, Mid, SessionId, Uid

_INSERT: Final = (
    "INSERT INTO messages(chat, ord, seq, mid, sender, outgoing, kind, text, state, sent_ms, server_ms, counted, "
    "clock_off, cause, params, inner, reply_uid, reply_mid, session_id, idx, expire_s) "
    "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


@dataclass(frozen=True, slots=True)
class UnknownMessage:
    """A verified message that no type took; `inner` is what Megolm protected."""

    chat_id: ChatId
    order: int
    seq: int
    server_ms: int
    type: str
    inner: bytes = field(repr=False)
    idx: int
    clock_off: bool
    late: bool


class Messages:
    """`tx.messages`. What becomes of own ones on their way is `tx.own_messages`'."""

    __slots__ = ("_db",)

    def __init__(self, db: Db) -> None:
        self._db = db

    # --- reading ---

    def page(self, chat_id: ChatId, *, before: int | None = None, after: int | None = None, limit: int = 100) -> Page:
        """Up to `limit` messages with order < before (or > after; newest ones when neither is given), oldest first.

        Raises UnknownChatError, and ValueError when both bounds are given or the limit is not 1..1000.
        """
        if (before is not None and after is not None) or not 1 <= limit <= 1000:  # noqa: PLR2004
            raise ValueError("one bound at most, and a limit of 1 to 1000")
        key = chat_key(self._db, chat_id)
        if after is not None:
            sql = f"{SELECT} WHERE m.chat = ? AND m.ord > ? ORDER BY m.ord LIMIT ?"
            messages = [message_of(row) for row in self._db.all(sql, key, after, limit + 1)]
            kept = messages[:limit]
            return Page(tuple(kept), not self._any(key, "ord <= ?", after), len(messages) <= limit)
        bound = before if before is not None else (1 << 63) - 1
        sql = f"{SELECT} WHERE m.chat = ? AND m.ord < ? ORDER BY m.ord DESC LIMIT ?"
        messages = [message_of(row) for row in self._db.all(sql, key, bound, limit + 1)]
        kept = messages[:limit][::-1]
        return Page(tuple(kept), len(messages) <= limit, not self._any(key, "ord >= ?", bound))

    def at(self, chat_id: ChatId, order: int) -> Message | None:
        """The message at a place of the timeline."""
        return message_at(self._db, chat_id, order)

    def find(self, chat_id: ChatId, mid: Mid, sender: Uid | None = None) -> Message | None:
        """The message with this id (and sender)."""
        sql = f"{SELECT} WHERE m.mid = ? AND c.chat_id = ? AND (? IS NULL OR m.sender = ?)"
        row = self._db.one(sql, mid, chat_id, sender, sender)
        return None if row is None else message_of(row)

    def is_written(self, chat_id: ChatId, mid: Mid, sender: Uid) -> bool:
        """Whether a message still stands there with what was written: not deleted, not elapsed."""
        found = self.find(chat_id, mid, sender)
        return found is not None and found.kind in {MessageKind.TEXT, MessageKind.FILE}

    def stands_at(self, chat_id: ChatId, mid: Mid, sender: Uid) -> tuple[SessionId, int] | None:
        """A message's place in its author's sender session, None when that is not known here."""
        sql = "SELECT session_id, idx FROM messages WHERE chat = ? AND mid = ? AND sender = ?"
        row = self._db.one(sql, chat_key(self._db, chat_id), mid, sender)
        return None if row is None or row[0] is None else (SessionId(row[0]), row[1])

    def first_index(self, chat_id: ChatId, session_id: SessionId, *, after: int) -> int | None:
        """The lowest index of an own session whose message stands behind the row `after`."""
        sql = "SELECT min(idx) FROM messages WHERE chat = ? AND outgoing AND session_id = ? AND seq > ?"
        index: int | None = self._db.value(sql, chat_key(self._db, chat_id), session_id, after)
        return index

    def rows_behind(self, chat_id: ChatId, session_id: SessionId, idx: int, limit: int) -> list[int]:
        """The lowest rows of a session's messages behind an index."""
        found = "chat = ? AND session_id = ? AND idx > ? AND seq NOTNULL"
        sql = f"SELECT seq FROM messages WHERE {found} ORDER BY seq LIMIT ?"
        return [seq for (seq,) in self._db.all(sql, chat_key(self._db, chat_id), session_id, idx, limit)]

    def first_unread(self, chat_id: ChatId) -> Message | None:
        """The oldest message that counts as unread."""
        unread = "m.counted AND m.ord > ((c.read_seq << 16) | 65535)"
        sql = f"{SELECT} WHERE c.chat_id = ? AND {unread} ORDER BY m.ord LIMIT 1"
        row = self._db.one(sql, chat_id)
        return None if row is None else message_of(row)

    def unknown(self, limit: int = 500) -> tuple[UnknownMessage, ...]:
        """Messages of types this version did not know when they came, the first stored first."""
        sql = (
            "SELECT c.chat_id, m.ord, m.seq, m.server_ms, m.text, m.inner, coalesce(m.idx, 0), m.clock_off, m.params "
            "FROM messages m JOIN chats c ON c.key = m.chat "
            "WHERE m.kind = 'unknown' AND m.inner IS NOT NULL AND m.seq IS NOT NULL ORDER BY m.id LIMIT ?"
        )
        return tuple(map(_unknown, self._db.all(sql, limit)))

    # --- writing ---

    def add(self, new: NewMessage) -> Message:
        """Put a message at its row's place, or at the end while it has no row. Raises UnknownChatError."""
        key = chat_key(self._db, new.chat_id)
        order = end_of(self._db, key) if new.seq is None else place_for(self._db, key, new.seq, first=0)
        self._insert(key, order, new)
        self._db.execute(
            "UPDATE chats SET activity_ms = max(activity_ms, ?), unread = unread + (? AND read_seq < ?) WHERE key = ?",
            new.server_ms or new.sent_ms,
            new.counted,
            new.seq or 0,
            key,
        )
        return self._shown(new, order) if new.reply is None else known_message(self._db, new.chat_id, order)

    def notice(
        self,
        chat_id: ChatId,
        *,
        after_seq: int,
        mid: Mid,
        about: Uid,
        cause: Cause,
        at_ms: int,
        params: Mapping[str, str],
        room: int = 0,
    ) -> Message | None:
        """Put a notice behind the log's row `after_seq` (0 = at the top). None when too many stand there already.

        `room`: so many places before it stay free for what it tells of.
        """
        key = chat_key(self._db, chat_id)
        order = place_for(self._db, key, after_seq, first=1)
        if order - (after_seq << ORDER_SHIFT) > MAX_NOTICES:
            return None
        order += room
        new = NewMessage(
            chat_id=chat_id,
            mid=mid,
            sender=about,
            outgoing=False,
            kind=MessageKind.NOTICE,
            state=MessageState.RECEIVED,
            sent_ms=at_ms,
            cause=cause,
            params=params,
        )
        self._insert(key, order, new)
        return self._shown(new, order)

    def insert(self, order: int, new: NewMessage) -> Message | None:
        """Put a message that has no row of its own at a place; None when something stands there."""
        key = chat_key(self._db, new.chat_id)
        if is_taken(self._db, key, order):
            return None
        self._insert(key, order, replace(new, seq=None))
        recount(self._db, key)
        return known_message(self._db, new.chat_id, order)

    def replace(self, order: int, new: NewMessage) -> Change:
        """An unreadable or unknown place became readable (or is unreadable for another reason). Keeps its place.

        Raises StoreMisuseError when there is no message at that place.
        """
        key = chat_key(self._db, new.chat_id)
        sql = (
            "UPDATE messages SET mid = ?, sender = ?, outgoing = ?, kind = ?, text = ?, state = ?, sent_ms = ?, "
            "counted = ?, clock_off = ?, cause = ?, params = ?, inner = ?, reply_uid = ?, reply_mid = ?, "
            "session_id = ?, idx = ?, expire_s = ? WHERE chat = ? AND ord = ?"
        )
        values = values_of(new)
        params = (*values[:6], new.sent_ms, new.counted, new.clock_off, *values[6:], key, order)
        message_id = self._db.value("SELECT id FROM messages WHERE chat = ? AND ord = ?", key, order)
        if message_id is None:
            raise StoreMisuseError("no message at that place")
        forget_text(self._db, message_id)
        self._db.execute(sql, *params)
        self._attach(message_id, new)
        recount(self._db, key)
        return Change(known_message(self._db, new.chat_id, order), order)

    def set_params(self, chat_id: ChatId, order: int, params: Mapping[str, str]) -> Message:
        """Other parameters for a notice; the notice."""
        key = chat_key(self._db, chat_id)
        self._db.execute("UPDATE messages SET params = ? WHERE chat = ? AND ord = ?", json.dumps(params), key, order)
        return known_message(self._db, chat_id, order)

    def remove(self, chat_id: ChatId, order: int) -> Mid | None:
        """Take a place out of the timeline, and its text out of the index; what stood there, None when nothing did."""
        key = chat_key(self._db, chat_id)
        row = self._db.one("SELECT id, mid, counted FROM messages WHERE chat = ? AND ord = ?", key, order)
        if row is None:
            return None
        drop_message(self._db, row[0])
        if row[2]:
            recount(self._db, key)
        return Mid(row[1])

    # --- inside ---

    def _shown(self, new: NewMessage, order: int) -> Message:
        """What was just stored; spares the hot path a read."""
        sender = self._db.one("SELECT handle, trust FROM contacts WHERE uid = ?", new.sender) or (None, None)
        return Message(
            chat_id=new.chat_id,
            mid=new.mid,
            order=order,
            seq=new.seq,
            sender=person(new.sender, *sender),
            outgoing=new.outgoing,
            kind=new.kind,
            text=new.text if new.kind in WORDED else "",
            state=new.state,
            sent_ms=new.sent_ms,
            cause=new.cause,
            params=new.params,
            clock_off=new.clock_off,
            attachment=attachment_of(new.file, None),
            expire_s=new.expire_s,
        )

    def _any(self, key: int, condition: str, bound: int) -> bool:
        return self._db.one(f"SELECT 1 FROM messages WHERE chat = ? AND {condition} LIMIT 1", key, bound) is not None

    def _insert(self, key: int, order: int, new: NewMessage) -> None:
        mid, sender, outgoing, kind, text, state, *rest = values_of(new)
        self._db.execute(
            _INSERT, key, order, new.seq, mid, sender, outgoing, kind, text, state, new.sent_ms, new.server_ms,
            new.counted, new.clock_off, *rest,
        )  # fmt: skip
        if new.kind in WORDED:
            self._attach(self._db.value("SELECT last_insert_rowid()"), new)

    def _attach(self, message_id: int, new: NewMessage) -> None:
        """What belongs to a message besides its row: its words in the index, its file."""
        if new.kind in WORDED:
            self._db.execute("INSERT INTO unindexed VALUES(?)", message_id)
        if new.file is not None:
            sql = "INSERT OR REPLACE INTO attachments(message, body) VALUES(?, ?)"
            self._db.execute(sql, message_id, new.file)


def _unknown(row: Row) -> UnknownMessage:
    chat_id, order, seq, server_ms, name, inner, idx, clock_off, params = row
    late = "late" in json.loads(params or "{}")
    return UnknownMessage(ChatId(chat_id), order, seq, server_ms, name, inner, idx, bool(clock_off), late)
