"""Chats: where each stands in its log, what was told to the server, what the list shows."""

from __future__ import annotations

from typing import Final

from mensajeria.client.store.db import Db, Row
from mensajeria.client.store.errors import StoreMisuseError, UnknownChatError
from mensajeria.client.store.values import Chat, MemberEventRow
from mensajeria.protocol.ids import ChatId, SessionId, Uid

_COLUMNS: Final = (
    "chat_id, peer, note_to_self, accepted, declined, cursor, cursor_sent, last_seq, epoch, member_seq, mhead, "
    "membership, prev_session, prev_idx, peer_delivered, peer_read, read_seq, read_sent, unread, identity_changed, "
    "draft, activity_ms"
)


def chat_key(db: Db, chat_id: ChatId) -> int:
    """The integer under which a chat's rows are stored. Raises UnknownChatError."""
    key = db.chat_keys.get(chat_id)
    if key is None:
        key = db.value("SELECT key FROM chats WHERE chat_id = ?", chat_id)
        if key is None:
            raise UnknownChatError(chat_id.hex())
        db.chat_keys[chat_id] = key
    return key


def recount(db: Db, key: int) -> None:
    """Count a chat's unread messages anew."""
    db.execute(
        "UPDATE chats SET unread = (SELECT count(*) FROM messages m WHERE m.chat = chats.key AND m.counted "
        "AND m.ord > ((chats.read_seq << 16) | 65535)) WHERE key = ?",
        key,
    )


class Chats:
    """`tx.chats`."""

    __slots__ = ("_db",)

    def __init__(self, db: Db) -> None:
        self._db = db

    def get(self, chat_id: ChatId) -> Chat | None:
        """The chat, None when there is none."""
        row = self._db.one(f"SELECT {_COLUMNS} FROM chats WHERE chat_id = ?", chat_id)
        return None if row is None else _chat(row)

    def all(self) -> tuple[Chat, ...]:
        """Every chat, latest activity first."""
        return tuple(map(_chat, self._db.all(f"SELECT {_COLUMNS} FROM chats ORDER BY activity_ms DESC, key")))

    def with_peer(self, uid: Uid) -> tuple[ChatId, ...]:
        """The direct chat with a person."""
        return tuple(ChatId(chat_id) for (chat_id,) in self._db.all("SELECT chat_id FROM chats WHERE peer = ?", uid))

    def with_member(self, uid: Uid) -> tuple[ChatId, ...]:
        """The chats in which a person is: the direct one and groups."""
        sql = (
            "SELECT chat_id FROM chats WHERE peer = ? UNION ALL "
            "SELECT c.chat_id FROM group_members m JOIN chats c ON c.key = m.chat WHERE m.uid = ?"
        )
        return tuple(ChatId(chat_id) for (chat_id,) in self._db.all(sql, uid, uid))

    def ensure_direct(self, chat_id: ChatId, peer: Uid, *, accepted: bool, note_to_self: bool, now_ms: int) -> bool:
        """Make the direct chat unless it is there; whether it was made."""
        sql = (
            "INSERT OR IGNORE INTO chats(chat_id, peer, accepted, note_to_self, activity_ms, cursor_sent) "
            "VALUES(?, ?, ?, ?, ?, 0)"
        )
        return self._db.changed(sql, chat_id, peer, accepted, note_to_self, now_ms) > 0

    def ensure_group(self, chat_id: ChatId, *, accepted: bool, now_ms: int) -> bool:
        """Make the group unless it is there; whether it was made. Who is in it: `Groups.set_members`."""
        sql = (
            "INSERT OR IGNORE INTO chats(chat_id, peer, accepted, note_to_self, activity_ms, cursor_sent) "
            "VALUES(?, x'', ?, 0, ?, 0)"
        )
        made = self._db.changed(sql, chat_id, accepted, now_ms) > 0
        if made:
            self._db.execute("INSERT INTO groups(chat) VALUES(?)", chat_key(self._db, chat_id))
        return made

    def set_accepted(self, chat_id: ChatId, *, accepted: bool, declined: bool = False) -> None:
        """The person's answer to a message request."""
        self._update(chat_id, "accepted = ?, declined = ?", accepted, declined)

    # --- the log ---

    def set_head(self, chat_id: ChatId, *, last_seq: int, epoch: int, member_seq: int) -> None:
        """What the server says of the log's end; none of the three goes back."""
        self._update(
            chat_id,
            "last_seq = max(last_seq, ?), epoch = max(epoch, ?), member_seq = max(member_seq, ?)",
            last_seq,
            epoch,
            member_seq,
        )

    def advance_cursor(self, chat_id: ChatId, seq: int) -> None:
        """Every row up to `seq` is decided. Raises StoreMisuseError when that would go back."""
        sql = "UPDATE chats SET cursor = ?, last_seq = max(last_seq, ?) WHERE chat_id = ? AND cursor <= ?"
        if self._db.changed(sql, seq, seq, chat_id, seq) == 0:
            chat_key(self._db, chat_id)
            raise StoreMisuseError("a cursor does not go back")

    def cursors_to_send(self) -> tuple[tuple[ChatId, int], ...]:
        """Accepted chats whose cursor the server has not been told: (chat, cursor)."""
        rows = self._db.all("SELECT chat_id, cursor FROM chats WHERE cursor > cursor_sent AND accepted")
        return tuple((ChatId(chat_id), cursor) for chat_id, cursor in rows)

    def cursor_sent(self, chat_id: ChatId, seq: int) -> None:
        """The server has been told the cursor up to `seq`."""
        self._update(chat_id, "cursor_sent = max(cursor_sent, ?)", seq)

    def set_membership(self, chat_id: ChatId, *, member_seq: int, epoch: int, mhead: bytes, membership: bytes) -> None:
        """State after the last valid membership event."""
        self._update(
            chat_id,
            "member_seq = ?, epoch = ?, mhead = ?, membership = ?",
            member_seq,
            epoch,
            mhead,
            membership,
        )

    def add_member_event(self, chat_id: ChatId, event: MemberEventRow) -> None:
        """Keep a valid membership event (evidence, and what the rule is replayed from)."""
        self._db.execute(
            "INSERT OR IGNORE INTO member_events VALUES(?, ?, ?, ?, ?, ?)",
            chat_key(self._db, chat_id),
            event.seq,
            event.hash,
            event.body,
            event.sig,
            event.chat_seq,
        )

    def set_event_row(self, chat_id: ChatId, seq: int, chat_seq: int) -> None:
        """The row of a membership event that is known already."""
        sql = "UPDATE member_events SET chat_seq = ? WHERE chat = ? AND seq = ?"
        self._db.execute(sql, chat_seq, chat_key(self._db, chat_id), seq)

    def member_events(self, chat_id: ChatId) -> tuple[MemberEventRow, ...]:
        """The chat's valid membership events in order."""
        sql = "SELECT seq, hash, body, sig, chat_seq FROM member_events WHERE chat = ? ORDER BY seq"
        return tuple(MemberEventRow(*row) for row in self._db.all(sql, chat_key(self._db, chat_id)))

    def set_previous_session(self, chat_id: ChatId, session_id: SessionId, idx: int) -> None:
        """The own session before the current one and the last index that the server acked in it."""
        self._update(chat_id, "prev_session = ?, prev_idx = ?", session_id, idx)

    # --- what the list shows ---

    def set_draft(self, chat_id: ChatId, text: str) -> None:
        """Keep what is typed and not sent."""
        self._update(chat_id, "draft = ?", text)

    def set_identity_changed(self, chat_id: ChatId, *, changed: bool) -> None:
        """Raise or lower the identity banner."""
        self._update(chat_id, "identity_changed = ?", changed)

    def touch(self, chat_id: ChatId, at_ms: int) -> None:
        """Something happened in the chat at `at_ms`."""
        self._update(chat_id, "activity_ms = max(activity_ms, ?)", at_ms)

    # --- receipts ---

    def mark_read(self, chat_id: ChatId, seq: int) -> bool:
        """The person has seen everything up to `seq`; whether anything changed. Recounts the unread messages."""
        key = chat_key(self._db, chat_id)
        if self._db.changed("UPDATE chats SET read_seq = ? WHERE key = ? AND read_seq < ?", seq, key, seq) == 0:
            return False
        recount(self._db, key)
        return True

    def reads_to_send(self) -> tuple[tuple[ChatId, int], ...]:
        """Accepted chats whose read position the author has not been told: (chat, read_seq)."""
        rows = self._db.all("SELECT chat_id, read_seq FROM chats WHERE read_seq > read_sent AND accepted")
        return tuple((ChatId(chat_id), seq) for chat_id, seq in rows)

    def read_sent(self, chat_id: ChatId, seq: int) -> None:
        """The author has been told that we read up to `seq`."""
        self._update(chat_id, "read_sent = max(read_sent, ?)", seq)

    def set_peer_delivered(self, chat_id: ChatId, seq: int) -> bool:
        """A device of the peer has the chat up to `seq`; whether that is news. See `messages.advance_own`."""
        sql = "UPDATE chats SET peer_delivered = ? WHERE chat_id = ? AND peer_delivered < ?"
        return self._db.changed(sql, seq, chat_id, seq) > 0

    def set_peer_read(self, chat_id: ChatId, seq: int) -> bool:
        """The peer has read up to `seq`; whether that is news. See `messages.advance_own`."""
        return (
            self._db.changed("UPDATE chats SET peer_read = ? WHERE chat_id = ? AND peer_read < ?", seq, chat_id, seq)
            > 0
        )

    def _update(self, chat_id: ChatId, assignments: str, *params: object) -> None:
        if self._db.changed(f"UPDATE chats SET {assignments} WHERE chat_id = ?", *params, chat_id) == 0:
            raise UnknownChatError(chat_id.hex())


def _chat(row: Row) -> Chat:
    (
        chat_id, peer, note_to_self, accepted, declined, cursor, cursor_sent, last_seq, epoch, member_seq, mhead,
        membership, prev_session, prev_idx, peer_delivered, peer_read, read_seq, read_sent, unread, identity_changed,
        draft, activity,
    ) = row  # fmt: skip
    return Chat(
        chat_id=ChatId(chat_id),
        peer=Uid(peer) if peer else None,
        note_to_self=bool(note_to_self),
        accepted=bool(accepted),
        declined=bool(declined),
        cursor=cursor,
        cursor_sent=cursor_sent,
        last_seq=last_seq,
        epoch=epoch,
        member_seq=member_seq,
        mhead=mhead,
        membership=membership,
        prev_session=None if prev_session is None else SessionId(prev_session),
        prev_idx=prev_idx,
        peer_delivered=peer_delivered,
        peer_read=peer_read,
        read_seq=read_seq,
        read_sent=read_sent,
        unread=unread,
        identity_changed=bool(identity_changed),
        draft=draft,
        activity_ms=activity,
    )
