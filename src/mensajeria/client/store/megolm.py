"""Sender sessions: the own one of each chat, whom its key was given to, those of others, and what was seen in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from mensajeria.client.store.chats import chat_key
from mensajeria.client.store.db import Db, Row
from mensajeria.client.store.key_values import Inbound, InboundKey, Outbound, Seen, Share, ShareOutcome
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.ids import ChatId, Did, Mid, SessionId, Uid
from mensajeria.protocol.records import VoidIndex

_OUTBOUND: Final = (
    "SELECT c.chat_id, o.session_id, o.state, o.skb, o.created_ms, o.messages, o.epoch, o.fetched "
    "FROM megolm_outbound o JOIN chats c ON c.key = o.chat"
)
_INBOUND: Final = (
    "SELECT c.chat_id, i.session_id, i.uid, i.did, i.state, i.created_ms, i.next_idx "
    "FROM megolm_inbound i JOIN chats c ON c.key = i.chat"
)
_PUT_SHARE: Final = "INSERT OR REPLACE INTO shares VALUES(?, ?, ?, ?, ?, ?)"


class Outbounds:
    """`tx.outbound`: own sender sessions, one in use for each chat."""

    __slots__ = ("_db",)

    def __init__(self, db: Db) -> None:
        self._db = db

    def get(self, chat_id: ChatId) -> Outbound | None:
        """The session in use."""
        row = self._db.one(f"{_OUTBOUND} WHERE c.chat_id = ?", chat_id)
        return None if row is None else _outbound(row)

    def put(self, session: Outbound) -> None:
        """Store the session, new or advanced; it replaces the chat's former one. Shares of a former one stay."""
        self._db.execute(
            "INSERT OR REPLACE INTO megolm_outbound VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
            chat_key(self._db, session.chat_id),
            session.session_id,
            session.state.reveal(),
            session.skb,
            session.created_ms,
            session.messages,
            session.epoch,
            session.fetched,
        )

    def advance(self, chat_id: ChatId, session_id: SessionId, state: Secret) -> None:
        """Store the ratchet after one more encryption."""
        self._db.execute(
            "UPDATE megolm_outbound SET state = ?, messages = messages + 1 WHERE session_id = ? AND chat = ?",
            state.reveal(),
            session_id,
            chat_key(self._db, chat_id),
        )

    def unfetched(self, chat_id: ChatId) -> SessionId | None:
        """The session in use if nobody else is known to have its key yet."""
        sql = "SELECT session_id FROM megolm_outbound WHERE chat = ? AND NOT fetched"
        value: bytes | None = self._db.value(sql, chat_key(self._db, chat_id))
        return None if value is None else SessionId(value)

    def set_fetched(self, session_id: SessionId) -> None:
        """A recipient has used the session's key."""
        self._db.execute("UPDATE megolm_outbound SET fetched = 1 WHERE session_id = ?", session_id)

    def drop(self, chat_id: ChatId) -> None:
        """Forget the session: the next send makes a new one."""
        self._db.execute("DELETE FROM megolm_outbound WHERE chat = ?", chat_key(self._db, chat_id))

    def drop_all(self) -> int:
        """Forget every session (rollback, own restore); how many."""
        return self._db.changed("DELETE FROM megolm_outbound")

    # --- whom the key was given to ---

    def put_share(self, session_id: SessionId, share: Share) -> None:
        """Note what became of the key for one device."""
        self._db.execute(_PUT_SHARE, *_share(session_id, share))

    def put_shares(self, shares: Iterable[tuple[SessionId, Share]]) -> None:
        """`put_share` for many."""
        self._db.each(_PUT_SHARE, (_share(session_id, share) for session_id, share in shares))

    def shared_from(self, session_id: SessionId, did: Did) -> int:
        """The index from which on a device was given the key; 0 when nothing is noted."""
        idx: int | None = self._db.value("SELECT idx FROM shares WHERE session_id = ? AND did = ?", session_id, did)
        return idx or 0

    def shares(self, session_id: SessionId) -> dict[Did, Share]:
        """What became of the key for each device it was meant for."""
        sql = "SELECT uid, did, idx, outcome, at_ms FROM shares WHERE session_id = ?"
        rows = self._db.all(sql, session_id)
        return {Did(did): Share(Uid(uid), Did(did), idx, ShareOutcome(out), at) for uid, did, idx, out, at in rows}

    # --- ciphertexts that will never be stored ---

    def add_void(self, chat_id: ChatId, session_id: SessionId, idx: int) -> None:
        """An index was used for a ciphertext that nobody will ever get."""
        sql = "INSERT OR IGNORE INTO own_voids(chat, session_id, idx) VALUES(?, ?, ?)"
        self._db.execute(sql, chat_key(self._db, chat_id), session_id, idx)

    def take_voids(self, chat_id: ChatId, carrier: Mid, limit: int = 64) -> tuple[VoidIndex, ...]:
        """The voids that the message `carrier` shall declare; they are its until `voids_declared` or its `unseal`."""
        key = chat_key(self._db, chat_id)
        if self._db.one("SELECT 1 FROM own_voids WHERE chat = ? LIMIT 1", key) is None:
            return ()
        self._db.execute(
            "UPDATE own_voids SET carrier = ? WHERE chat = ? AND (session_id, idx) IN "
            "(SELECT session_id, idx FROM own_voids WHERE chat = ? AND carrier IS NULL LIMIT ?)",
            carrier,
            key,
            key,
            limit,
        )
        sql = "SELECT session_id, idx FROM own_voids WHERE chat = ? AND carrier = ? ORDER BY session_id, idx"
        return tuple(VoidIndex(session_id, idx) for session_id, idx in self._db.all(sql, key, carrier))

    def voids_declared(self, chat_id: ChatId, carrier: Mid) -> None:
        """The message `carrier` was acked: its voids are known to everyone."""
        self._db.execute("DELETE FROM own_voids WHERE chat = ? AND carrier = ?", chat_key(self._db, chat_id), carrier)


class Inbounds:
    """`tx.inbound`: sender sessions of others and of own devices. `changed`: one was stored in this transaction."""

    __slots__ = ("_db", "changed", "muted")

    def __init__(self, db: Db) -> None:
        self._db = db
        self.changed = False
        self.muted = False
        """What is stored need not be looked at for the key backup: it has come from there."""

    def get(self, key: InboundKey) -> Inbound | None:
        """The session."""
        sql = f"{_INBOUND} WHERE i.session_id = ? AND c.chat_id = ? AND i.uid = ? AND i.did = ?"
        row = self._db.one(sql, key.session_id, key.chat_id, key.uid, key.did)
        return None if row is None else _inbound(row)

    def find(self, chat_id: ChatId, session_id: SessionId) -> tuple[Inbound, ...]:
        """The sessions of a chat under this id (more than one only when somebody claims another's)."""
        sql = f"{_INBOUND} WHERE i.session_id = ? AND c.chat_id = ? ORDER BY i.created_ms"
        return tuple(map(_inbound, self._db.all(sql, session_id, chat_id)))

    def all(self) -> tuple[Inbound, ...]:
        """Every session of every chat."""
        return tuple(map(_inbound, self._db.all(_INBOUND)))

    def add(self, session: Inbound) -> bool:
        """Store the session unless there is one under its key; whether it was stored."""
        self.changed = True
        row = _row(self._db, session)
        added = self._db.changed("INSERT OR IGNORE INTO megolm_inbound VALUES(?, ?, ?, ?, ?, ?, ?)", *row) > 0
        if added:
            self._pend(row)
        return added

    def add_all(self, sessions: Sequence[Inbound]) -> list[Inbound]:
        """Store sessions that have come from the backup; those under whose key there is one are given back instead.

        A trigger for what becomes pending would cost more than all the rest of a restore in the store: `_pend`.
        """
        self.changed = True
        known = self._known([session.key.session_id for session in sessions])
        rows, left = [], []
        for session in sessions:
            row = _row(self._db, session)
            name = row[1:4] + row[:1]
            (left.append(session) if name in known else rows.append(row))
            known.add(name)
        rows.sort(key=lambda row: row[1])  # neighbours in the index are written together
        self._db.insert_all("megolm_inbound", rows)
        return left

    def _known(self, session_ids: Sequence[SessionId]) -> set[Row]:
        sql = "SELECT session_id, uid, did, chat FROM megolm_inbound WHERE session_id IN"
        return set(self._db.among(sql, session_ids))

    def put(self, session: Inbound) -> None:
        """Store the session, new or merged."""
        self.changed = True
        row = _row(self._db, session)
        self._db.execute("INSERT OR REPLACE INTO megolm_inbound VALUES(?, ?, ?, ?, ?, ?, ?)", *row)
        self._pend(row)

    def _pend(self, row: Row) -> None:
        """The key backup has to look at it."""
        if not self.muted:
            chat, session_id, uid, did, *_ = row
            self._db.execute("INSERT OR IGNORE INTO backup_pending VALUES(?, ?, ?, ?)", session_id, chat, uid, did)

    def expect(self, key: InboundKey, next_idx: int) -> None:
        """The author's next message should have this index."""
        self._db.execute(
            "UPDATE megolm_inbound SET next_idx = max(next_idx, ?) "
            "WHERE session_id = ? AND chat = ? AND uid = ? AND did = ?",
            next_idx,
            key.session_id,
            chat_key(self._db, key.chat_id),
            key.uid,
            key.did,
        )


class Replays:
    """`tx.replays`: which ciphertext was seen at which index and under which message id.

    `ciphertext_hash` and `seen_mid` are the facts that opening a message asks for.
    """

    __slots__ = ("_db",)

    def __init__(self, db: Db) -> None:
        self._db = db

    def ciphertext_hash(self, session_id: bytes, idx: int) -> bytes | None:
        """The hash of the ciphertext seen at the index; empty when its author declared it void; None = nothing seen."""
        row = self._db.one("SELECT ct_hash FROM seen_indices WHERE session_id = ? AND idx = ?", session_id, idx)
        return None if row is None else row[0] or b""

    def seen_mid(self, chat_id: bytes, uid: bytes, mid: bytes) -> bytes | None:
        """The hash of the ciphertext that used the id; None = unseen."""
        value: bytes | None = self._db.value(
            "SELECT ct_hash FROM seen_mids "
            "WHERE chat = (SELECT key FROM chats WHERE chat_id = ?) AND mid = ? AND uid = ?",
            chat_id,
            mid,
            uid,
        )
        return value

    def check(self, session_id: SessionId, idx: int, ct_hash: bytes) -> Seen:
        """What is known of a ciphertext at an index."""
        known = self.ciphertext_hash(session_id, idx)
        if known is None:
            return Seen.NEW
        return Seen.SAME if known == ct_hash else Seen.OTHER

    def note(self, chat_id: ChatId, uid: Uid, mid: Mid, session_id: SessionId, idx: int, ct_hash: bytes) -> None:
        """A message was accepted: its index and id are used. In the transaction that stores the message."""
        self._db.execute("INSERT OR IGNORE INTO seen_indices VALUES(?, ?, ?)", session_id, idx, ct_hash)
        key = chat_key(self._db, chat_id)
        self._db.execute("INSERT OR IGNORE INTO seen_mids VALUES(?, ?, ?, ?)", key, mid, uid, ct_hash)

    def note_voids(self, voids: Iterable[VoidIndex]) -> None:
        """The author declared these indexes void: a gap there is explained, a ciphertext there is an attack."""
        for void in voids:
            self._db.execute("INSERT OR IGNORE INTO seen_indices VALUES(?, ?, NULL)", void.session_id, void.idx)

    def missing(self, session_id: SessionId, low: int, high: int) -> int:
        """How many of the indexes low..high-1 were neither seen nor declared void."""
        sql = "SELECT count(*) FROM seen_indices WHERE session_id = ? AND idx >= ? AND idx < ?"
        seen: int = self._db.value(sql, session_id, low, high)
        return max(0, high - low - seen)

    def unseen(self, session_id: SessionId, low: int, high: int) -> list[int]:
        """Those indexes."""
        sql = "SELECT idx FROM seen_indices WHERE session_id = ? AND idx >= ? AND idx < ?"
        seen = {idx for (idx,) in self._db.all(sql, session_id, low, high)}
        return [idx for idx in range(low, high) if idx not in seen]


def _outbound(row: Row) -> Outbound:
    chat_id, session_id, state, skb, created, messages, epoch, fetched = row
    return Outbound(ChatId(chat_id), SessionId(session_id), Secret(state), skb, created, messages, epoch, bool(fetched))


def _share(session_id: SessionId, share: Share) -> Row:
    return session_id, share.did, share.uid, share.idx, share.outcome.value, share.at_ms


def _inbound(row: Row) -> Inbound:
    chat_id, session_id, uid, did, state, created, next_idx = row
    return Inbound(
        InboundKey(ChatId(chat_id), SessionId(session_id), Uid(uid), Did(did)), Secret(state), created, next_idx
    )


def _row(db: Db, session: Inbound) -> Row:
    key = session.key
    chat = chat_key(db, key.chat_id)
    return chat, key.session_id, key.uid, key.did, session.state.reveal(), session.next_idx, session.created_ms
