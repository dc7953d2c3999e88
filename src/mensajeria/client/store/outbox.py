"""Messages on their way: plaintext until acked, ciphertext as soon as there is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mensajeria.client.store.chats import chat_key
from mensajeria.client.store.db import Db, Row
from mensajeria.client.store.errors import StoreMisuseError
from mensajeria.client.store.values import OutboxItem, Sealed
from mensajeria.protocol.ids import ChatId, Mid, SessionId, Uid

_SELECT: Final = (
    "SELECT c.chat_id, o.mid, o.position, o.type, o.body, o.created_ms, o.tries, o.outer, o.session_id, o.idx, "
    "o.epoch, o.failed, o.refs, o.expire_s FROM outbox o JOIN chats c ON c.key = o.chat"
)
_ID: Final = 16
_ONE: Final = "WHERE chat = (SELECT key FROM chats WHERE chat_id = ?) AND mid = ?"


class Outbox:
    """`tx.outbox`."""

    __slots__ = ("_db",)

    def __init__(self, db: Db) -> None:
        self._db = db

    def add(
        self,
        chat_id: ChatId,
        mid: Mid,
        message_type: str,
        body: bytes,
        now_ms: int,
        *,
        refs: Sequence[tuple[Uid, Mid]] = (),
        expire_s: int = 0,
    ) -> int:
        """Queue a message at the end; its position. `refs` are the messages that it is about: (author, mid)."""
        return self._db.inserted(
            "INSERT INTO outbox(chat, mid, type, body, created_ms, refs, expire_s) VALUES(?, ?, ?, ?, ?, ?, ?)",
            chat_key(self._db, chat_id),
            mid,
            message_type,
            body,
            now_ms,
            b"".join(uid + about for uid, about in refs) or None,
            expire_s,
        )

    def get(self, chat_id: ChatId, mid: Mid) -> OutboxItem | None:
        """The item, None when it was acked or discarded."""
        row = self._db.one(f"{_SELECT} WHERE c.chat_id = ? AND o.mid = ?", chat_id, mid)
        return None if row is None else _item(row)

    def pending(self, chat_id: ChatId, limit: int = 64) -> tuple[OutboxItem, ...]:
        """The chat's items that are not failed, in the order in which they leave."""
        sql = f"{_SELECT} WHERE c.chat_id = ? AND o.failed IS NULL ORDER BY o.position LIMIT ?"
        return tuple(map(_item, self._db.all(sql, chat_id, limit)))

    def chats(self) -> tuple[ChatId, ...]:
        """Chats with something to send, longest waiting first."""
        sql = (
            "SELECT c.chat_id FROM outbox o JOIN chats c ON c.key = o.chat WHERE o.failed IS NULL "
            "GROUP BY o.chat ORDER BY min(o.position)"
        )
        return tuple(ChatId(chat_id) for (chat_id,) in self._db.all(sql))

    def count(self) -> int:
        """How many items wait (failed ones do not)."""
        count: int = self._db.value("SELECT count(*) FROM outbox WHERE failed IS NULL")
        return count

    def waits(self) -> bool:
        """Whether there is anything at all, failed items too."""
        return self._db.one("SELECT 1 FROM outbox LIMIT 1") is not None

    def seal(self, chat_id: ChatId, mid: Mid, sealed: Sealed) -> None:
        """Store the ciphertext; in the same transaction as the ratchet that made it, before any byte leaves.

        Raises StoreMisuseError when the item has a ciphertext already (it must be sent as it is) or is not there.
        """
        changed = self._db.changed(
            f"UPDATE outbox SET outer = ?, session_id = ?, idx = ?, epoch = ? {_ONE} AND outer IS NULL",
            sealed.outer,
            sealed.session_id,
            sealed.idx,
            sealed.epoch,
            chat_id,
            mid,
        )
        if changed == 0:
            raise StoreMisuseError("no such item, or already sealed")

    def unseal(self, chat_id: ChatId, mid: Mid) -> Sealed | None:
        """Throw the ciphertext away (refused as stale); it is returned and its index kept as void to be declared."""
        item = self.get(chat_id, mid)
        if item is None or item.sealed is None:
            return None
        self._db.execute(
            f"UPDATE outbox SET outer = NULL, session_id = NULL, idx = NULL, epoch = NULL {_ONE}", chat_id, mid
        )
        key = chat_key(self._db, chat_id)
        self._db.execute("UPDATE own_voids SET carrier = NULL WHERE chat = ? AND carrier = ?", key, mid)
        self._db.execute(
            "INSERT OR IGNORE INTO own_voids(chat, session_id, idx) VALUES(?, ?, ?)",
            key,
            item.sealed.session_id,
            item.sealed.idx,
        )
        return item.sealed

    def tried(self, chat_id: ChatId, mid: Mid) -> None:
        """The ciphertext is about to be sent (again)."""
        self._db.execute(f"UPDATE outbox SET tries = tries + 1 {_ONE}", chat_id, mid)

    def fail(self, chat_id: ChatId, mid: Mid, code: str) -> None:
        """Refused for good: does not block what follows. A ciphertext is void from now on."""
        self.unseal(chat_id, mid)
        self._db.execute(f"UPDATE outbox SET failed = ? {_ONE}", code, chat_id, mid)

    def requeue(self, chat_id: ChatId, mid: Mid) -> bool:
        """Put a failed item at the end of the queue again; whether there was one."""
        sql = (
            "UPDATE outbox SET failed = NULL, tries = 0, position = (SELECT max(position) + 1 FROM outbox) "
            f"{_ONE} AND failed IS NOT NULL"
        )
        return self._db.changed(sql, chat_id, mid) > 0

    def to_end(self, chat_id: ChatId, mid: Mid) -> None:
        """Let an item leave after all others."""
        sql = f"UPDATE outbox SET position = (SELECT max(position) + 1 FROM outbox) {_ONE}"
        self._db.execute(sql, chat_id, mid)

    def remove(self, chat_id: ChatId, mid: Mid) -> OutboxItem | None:
        """Acked or discarded: the item as it was. A discarded ciphertext is declared void by `unseal` before."""
        item = self.get(chat_id, mid)
        if item is not None:
            self._db.execute(f"DELETE FROM outbox {_ONE}", chat_id, mid)
        return item


def _item(row: Row) -> OutboxItem:
    (
        chat_id,
        mid,
        position,
        message_type,
        body,
        created,
        tries,
        outer,
        session_id,
        idx,
        epoch,
        failed,
        refs,
        expire_s,
    ) = row
    return OutboxItem(
        chat_id=ChatId(chat_id),
        mid=Mid(mid),
        position=position,
        type=message_type,
        body=body,
        created_ms=created,
        tries=tries,
        sealed=None if outer is None else Sealed(outer, SessionId(session_id), idx, epoch),
        failed=failed,
        refs=_refs(refs or b""),
        expire_s=expire_s,
    )


def _refs(packed: bytes) -> tuple[tuple[Uid, Mid], ...]:
    starts = range(0, len(packed), 2 * _ID)
    return tuple((Uid(packed[at : at + _ID]), Mid(packed[at + _ID : at + 2 * _ID])) for at in starts)
