"""Own messages on their way: queued, failed, stored by the server, delivered, read, or dropped."""

from __future__ import annotations

from typing import Final

from mensajeria.client.api import MessageState
from mensajeria.client.store.chats import chat_key
from mensajeria.client.store.db import Db
from mensajeria.client.store.errors import StoreMisuseError
from mensajeria.client.store.message_rows import known_message
from mensajeria.client.store.places import end_of, place_for
from mensajeria.client.store.removal import drop_message
from mensajeria.client.store.values import Change
from mensajeria.protocol.errors import Code
from mensajeria.protocol.ids import ChatId, Mid, SessionId, Uid

_BEFORE: Final = {
    MessageState.DELIVERED: (MessageState.SENT.value, MessageState.SENT.value),
    MessageState.READ: (MessageState.SENT.value, MessageState.DELIVERED.value),
}


class OwnMessages:
    """`tx.own_messages`. They are put into the timeline by `tx.messages`."""

    __slots__ = ("_db",)

    def __init__(self, db: Db) -> None:
        self._db = db

    def ack(
        self,
        chat_id: ChatId,
        mid: Mid,
        sender: Uid,
        *,
        seq: int,
        server_ms: int,
        at: tuple[SessionId, int] | None = None,
    ) -> Change | None:
        """A queued (or failed) own message is row `seq`: it moves there once. None when it was acked before.

        `at` is its session and index. Raises StoreMisuseError when there is no such message.
        """
        key = chat_key(self._db, chat_id)
        row = self._db.one(
            "SELECT id, ord, seq FROM messages WHERE chat = ? AND mid = ? AND sender = ?", key, mid, sender
        )
        if row is None:
            raise StoreMisuseError("no such message")
        message_id, previous, known_seq = row
        if known_seq is not None:
            return None
        order = place_for(self._db, key, seq, first=0)
        self._db.execute(
            "UPDATE messages SET ord = ?, seq = ?, server_ms = ?, state = 'sent', error = NULL, session_id = ?, "
            "idx = ? WHERE id = ?",
            order,
            seq,
            server_ms,
            *(at or (None, None)),
            message_id,
        )
        return Change(known_message(self._db, chat_id, order), previous)

    def set_state(
        self, chat_id: ChatId, mid: Mid, sender: Uid, state: MessageState, error: Code | None = None
    ) -> Change:
        """An own message is queued again or has failed. Raises StoreMisuseError when there is no such message."""
        key = chat_key(self._db, chat_id)
        order = self._db.value(
            "UPDATE messages SET state = ?, error = ? WHERE chat = ? AND mid = ? AND sender = ? RETURNING ord",
            state.value,
            error.value if error else None,
            key,
            mid,
            sender,
        )
        if order is None:
            raise StoreMisuseError("no such message")
        return Change(known_message(self._db, chat_id, order), order)

    def to_end(self, chat_id: ChatId, mid: Mid, sender: Uid) -> Change:
        """A failed message is queued again behind the other queued ones. Raises StoreMisuseError."""
        key = chat_key(self._db, chat_id)
        row = self._db.one(
            "SELECT id, ord FROM messages WHERE chat = ? AND mid = ? AND sender = ? AND seq IS NULL", key, mid, sender
        )
        if row is None:
            raise StoreMisuseError("no such queued message")
        order = end_of(self._db, key)
        self._db.execute("UPDATE messages SET ord = ?, state = 'queued', error = NULL WHERE id = ?", order, row[0])
        return Change(known_message(self._db, chat_id, order), row[1])

    def advance_own(self, chat_id: ChatId, state: MessageState, up_to_seq: int) -> tuple[Change, ...]:
        """Own messages up to a row are now delivered or read; those that changed, oldest first."""
        key = chat_key(self._db, chat_id)
        sql = (
            "UPDATE messages SET state = ? WHERE chat = ? AND outgoing AND state IN (?, ?) "
            "AND state IN ('sent', 'delivered') AND seq <= ? RETURNING ord"
        )
        orders = sorted(order for (order,) in self._db.all(sql, state.value, key, *_BEFORE[state], up_to_seq))
        return tuple(Change(known_message(self._db, chat_id, order), order) for order in orders)

    def discard(self, chat_id: ChatId, mid: Mid, sender: Uid) -> int | None:
        """Remove an own message that has no row in the log; the place where it stood, None when there was none."""
        sql = "SELECT id, ord FROM messages WHERE chat = ? AND mid = ? AND sender = ? AND outgoing AND seq IS NULL"
        row = self._db.one(sql, chat_key(self._db, chat_id), mid, sender)
        if row is None:
            return None
        drop_message(self._db, row[0])
        order: int = row[1]
        return order
