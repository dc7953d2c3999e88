"""Edits, reactions and deletes. A message shows what all of them add up to, in whatever order they became readable.

Each verified change is a row here. Which edit and which reaction of a person holds is decided by the order of the
chat's log; own ones that are still queued stand behind it. `settle` computes the message anew from its rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from mensajeria.client.api import Message, MessageKind, Version
from mensajeria.client.store.chats import chat_key, recount
from mensajeria.client.store.db import Db
from mensajeria.client.store.fulltext import forget_text
from mensajeria.client.store.message_rows import SELECT, message_of
from mensajeria.client.store.removal import drop_changes
from mensajeria.protocol import limits
from mensajeria.protocol.ids import ChatId, Mid, Uid

MAX_QUOTING: Final = 100
"""Answers to a message that are told when it changes."""
_TARGET: Final = "chat = ? AND target_uid = ? AND target_mid = ?"
_IN_ORDER: Final = "ORDER BY seq IS NULL, seq, id"


class ChangeKind(StrEnum):
    """What a change does to its message."""

    EDIT = "edit"
    REACTION = "reaction"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Target:
    """The message that a change is about."""

    chat_id: ChatId
    uid: Uid
    mid: Mid


@dataclass(frozen=True, slots=True)
class NewChange:
    """A verified change, or an own one that is queued (`seq` None)."""

    kind: ChangeKind
    target: Target
    sender: Uid
    mid: Mid
    """Of the change itself."""
    at_ms: int
    seq: int | None
    value: str = field(default="", repr=False)
    """The new text or the emoji."""


class Changes:
    """`tx.changes`."""

    __slots__ = ("_db",)

    def __init__(self, db: Db) -> None:
        self._db = db

    def put(self, new: NewChange) -> None:
        """Keep a change; `settle` its target afterwards. The same change again has no effect."""
        self._db.execute(
            "INSERT OR IGNORE INTO changes(chat, mid, sender, kind, target_uid, target_mid, seq, at_ms, value) "
            "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
            chat_key(self._db, new.target.chat_id),
            new.mid,
            new.sender,
            new.kind.value,
            new.target.uid,
            new.target.mid,
            new.seq,
            new.at_ms,
            new.value,
        )

    def sent(self, chat_id: ChatId, mid: Mid, sender: Uid, seq: int) -> Target | None:
        """An own queued change is row `seq` now; its target, None when there is no such change."""
        sql = "UPDATE changes SET seq = ? WHERE chat = ? AND mid = ? AND sender = ? RETURNING target_uid, target_mid"
        row = self._db.one(sql, seq, chat_key(self._db, chat_id), mid, sender)
        return None if row is None else Target(chat_id, Uid(row[0]), Mid(row[1]))

    def drop(self, chat_id: ChatId, mid: Mid, sender: Uid) -> Target | None:
        """Take an own queued change back; its target, None when there is no such change."""
        sql = "DELETE FROM changes WHERE chat = ? AND mid = ? AND sender = ? RETURNING target_uid, target_mid"
        row = self._db.one(sql, chat_key(self._db, chat_id), mid, sender)
        return None if row is None else Target(chat_id, Uid(row[0]), Mid(row[1]))

    def any_for(self, target: Target) -> bool:
        """Whether something has come for a message, perhaps before the message."""
        sql = f"SELECT 1 FROM changes WHERE {_TARGET} LIMIT 1"
        return self._db.one(sql, *self._key(target)) is not None

    def versions(self, target: Target) -> tuple[Version, ...]:
        """What a text has said so far, as far as it is kept, oldest first. Empty for what is no text here."""
        row = self._db.one(
            "SELECT coalesce(original, text), sent_ms FROM messages WHERE chat = ? AND sender = ? AND mid = ? "
            "AND kind = 'text'",
            *self._key(target),
        )
        if row is None:
            return ()
        sql = f"SELECT value, at_ms FROM changes WHERE {_TARGET} AND kind = 'edit' {_IN_ORDER}"
        return (Version(*row), *(Version(text, at_ms) for text, at_ms in self._db.all(sql, *self._key(target))))

    def waiting(self, chat_id: ChatId) -> int:
        """How many changes of a chat wait for their message."""
        count: int = self._db.value(
            "SELECT count(*) FROM changes WHERE chat = ? AND waiting", chat_key(self._db, chat_id)
        )
        return count

    # --- what they add up to ---

    def settle(self, target: Target) -> tuple[Message, ...]:
        """Make the message what its changes add up to: it and the answers that quote it, if it looks different now.

        Without the message, its changes wait for it, in bounded number; unless it was here and is gone for good.
        """
        key = self._key(target)
        row = self._db.one(
            "SELECT id, ord, kind, text, original, former_kind FROM messages WHERE chat = ? AND sender = ? AND mid = ?",
            *key,
        )
        if row is None:
            self._wait(target)
            return ()
        shown = _Shown(*row)
        if shown.kind == MessageKind.NOTICE or (shown.kind == MessageKind.DELETED and shown.former_kind is None):
            drop_changes(self._db, shown.id)
            return ()
        self._db.execute(f"UPDATE changes SET waiting = 0 WHERE {_TARGET} AND waiting", *key)
        if not self._apply(shown, key):
            return ()
        return self._changed(target, shown.order)

    def erase(self, target: Target, by: Uid) -> tuple[Message, ...]:
        """Wipe what a message said, for good: it and the answers that quote it, as they are shown now."""
        row = self._db.one("SELECT id, ord FROM messages WHERE chat = ? AND sender = ? AND mid = ?", *self._key(target))
        if row is None:
            return ()
        self._wipe(row[0], self._key(target)[0], by)
        return self._changed(target, row[1])

    def quoting(self, target: Target) -> tuple[Message, ...]:
        """The answers that quote a message."""
        sql = f"{SELECT} WHERE m.reply_mid = ? AND m.reply_uid = ? AND m.chat = ? ORDER BY m.ord DESC LIMIT ?"
        key = chat_key(self._db, target.chat_id)
        return tuple(map(message_of, self._db.all(sql, target.mid, target.uid, key, MAX_QUOTING)))

    def _apply(self, shown: _Shown, key: tuple[int, Uid, Mid]) -> bool:
        deletes = self._of(key, ChangeKind.DELETE)
        if deletes and deletes[0].seq is not None:
            self._wipe(shown.id, key[0], Uid(deletes[0].sender))
            return True
        hidden = self._hide(shown, deletes[0].sender if deletes else None)
        edited = self._edit(shown, key, hidden=bool(deletes))
        return self._react(shown, key) or edited or hidden

    def _wipe(self, message_id: int, chat: int, by: Uid) -> None:
        forget_text(self._db, message_id)
        drop_changes(self._db, message_id)
        self._db.execute(
            "UPDATE messages SET kind = 'deleted', text = '', original = NULL, former_kind = NULL, edited_ms = 0, "
            "deleted_by = ?, counted = 0, reacted = 0, params = NULL, cause = NULL, inner = NULL, reply_uid = NULL, "
            "reply_mid = NULL WHERE id = ?",
            by,
            message_id,
        )
        recount(self._db, chat)

    def _hide(self, shown: _Shown, by: bytes | None) -> bool:
        """An own delete that is still queued hides the message; taken back, it shows it again."""
        if (by is not None) == (shown.kind == MessageKind.DELETED):
            return False
        forget_text(self._db, shown.id)
        if by is not None:
            self._db.execute(
                "UPDATE messages SET kind = 'deleted', former_kind = kind, deleted_by = ?, text = '', "
                "original = coalesce(original, text) WHERE id = ?",
                by,
                shown.id,
            )
            return True
        self._db.execute(
            "UPDATE messages SET kind = former_kind, former_kind = NULL, deleted_by = NULL, text = original "
            "WHERE id = ?",
            shown.id,
        )
        self._index(shown.id)
        return True

    def _edit(self, shown: _Shown, key: tuple[int, Uid, Mid], *, hidden: bool) -> bool:
        if (shown.former_kind or shown.kind) != MessageKind.TEXT:
            self._db.execute(f"DELETE FROM changes WHERE {_TARGET} AND kind = 'edit'", *key)
            return False
        if hidden:
            return False
        edits = self._of(key, ChangeKind.EDIT)
        for outdated in edits[: -limits.MAX_VERSIONS]:
            self._db.execute("DELETE FROM changes WHERE id = ?", outdated.id)
        original = shown.original if shown.original is not None else shown.text
        text, at_ms = (edits[-1].value, max(1, edits[-1].at_ms)) if edits else (original, 0)
        now = self._db.one("SELECT text, edited_ms FROM messages WHERE id = ?", shown.id)
        if now == (text, at_ms):
            return False
        forget_text(self._db, shown.id)
        self._db.execute(
            "UPDATE messages SET text = ?, original = ?, edited_ms = ? WHERE id = ?",
            text,
            original if edits else None,
            at_ms,
            shown.id,
        )
        self._index(shown.id)
        return True

    def _react(self, shown: _Shown, key: tuple[int, Uid, Mid]) -> bool:
        newest: dict[bytes, _Kept] = {}
        for row in self._of(key, ChangeKind.REACTION):
            before = newest.get(row.sender)
            if before is not None and row.seq is not None:  # a queued one may be taken back: what it replaces stays
                self._db.execute("DELETE FROM changes WHERE id = ?", before.id)
            newest[row.sender] = row
        wanted = {uid: row.value for uid, row in newest.items() if row.value}
        known: dict[bytes, str] = dict(self._db.all("SELECT uid, emoji FROM reactions WHERE message = ?", shown.id))
        if wanted == known:
            return False
        self._db.execute("DELETE FROM reactions WHERE message = ?", shown.id)
        for uid, emoji in wanted.items():
            self._db.execute("INSERT INTO reactions VALUES(?, ?, ?)", shown.id, uid, emoji)
        self._db.execute("UPDATE messages SET reacted = ? WHERE id = ?", bool(wanted), shown.id)
        return True

    # --- inside ---

    def _of(self, key: tuple[int, Uid, Mid], kind: ChangeKind) -> list[_Kept]:
        """A message's changes of one kind in the order of the log, queued ones last."""
        sql = f"SELECT id, sender, value, at_ms, seq FROM changes WHERE {_TARGET} AND kind = ? {_IN_ORDER}"
        return [_Kept(*row) for row in self._db.all(sql, *key, kind.value)]

    def _wait(self, target: Target) -> None:
        """Mark what waits, and keep it bounded: of one member, and of the chat."""
        key = self._key(target)
        if self._db.one("SELECT 1 FROM seen_mids WHERE chat = ? AND uid = ? AND mid = ?", *key) is not None:
            # It was here: deleted for oneself, or expired.
            self._db.execute(f"DELETE FROM changes WHERE {_TARGET}", *key)
            return
        senders = [
            sender
            for (sender,) in self._db.all(
                f"UPDATE changes SET waiting = 1 WHERE {_TARGET} AND NOT waiting RETURNING sender", *key
            )
        ]
        for sender in senders:
            self._bound("chat = ? AND sender = ?", limits.MAX_WAITING_CHANGES_PER_MEMBER, key[0], sender)
        if senders:
            self._bound("chat = ?", limits.MAX_WAITING_CHANGES, key[0])

    def _bound(self, which: str, most: int, *params: object) -> None:
        self._db.execute(
            f"DELETE FROM changes WHERE id IN (SELECT id FROM changes WHERE {which} AND waiting "
            "ORDER BY id DESC LIMIT -1 OFFSET ?)",
            *params,
            most,
        )

    def _index(self, message_id: int) -> None:
        self._db.execute(
            "INSERT INTO unindexed SELECT id FROM messages WHERE id = ? AND kind IN ('text', 'file')", message_id
        )

    def _key(self, target: Target) -> tuple[int, Uid, Mid]:
        return chat_key(self._db, target.chat_id), target.uid, target.mid

    def _changed(self, target: Target, order: int) -> tuple[Message, ...]:
        sql = f"{SELECT} WHERE c.chat_id = ? AND m.ord = ?"
        return (*map(message_of, self._db.all(sql, target.chat_id, order)), *self.quoting(target))


@dataclass(frozen=True, slots=True)
class _Shown:
    """A message as it is stored."""

    id: int
    order: int
    kind: str
    text: str
    original: str | None
    former_kind: str | None


@dataclass(frozen=True, slots=True)
class _Kept:
    """A change as it is stored."""

    id: int
    sender: bytes
    value: str = field(repr=False)
    at_ms: int
    seq: int | None
