"""To-device traffic: pairwise sessions, envelopes in and out, and the questions for missing keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from mensajeria.client.store.chats import chat_key
from mensajeria.client.store.db import Db, Row
from mensajeria.client.store.key_values import (
    EnvelopeOutcome,
    InboundKey,
    KeyRequestRow,
    OlmPeerRow,
    OutgoingEnvelope,
    ParkedEnvelope,
)
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import limits
from mensajeria.protocol.ids import ChatId, Did, Mid, SessionId, Uid

_OUTGOING: Final = "SELECT id, uid, did, prekey_id, blob, type, session_id, created_ms FROM device_outbox"
_QUEUE: Final = (
    "INSERT INTO device_outbox(uid, did, prekey_id, blob, type, session_id, created_ms) VALUES(?, ?, ?, ?, ?, ?, ?)"
)
_PUT_PEER: Final = (
    "INSERT INTO olm_peers(did, uid, state) VALUES(?, ?, ?) "
    "ON CONFLICT(did) DO UPDATE SET uid = excluded.uid, state = excluded.state"
)
_REQUEST: Final = (
    "SELECT c.chat_id, k.session_id, k.uid, k.did, k.idx, k.step, k.first_ms, k.next_ms "
    "FROM key_requests k JOIN chats c ON c.key = k.chat"
)


class OlmPeers:
    """`tx.olm`: the pairwise sessions with each device."""

    __slots__ = ("_db",)

    def __init__(self, db: Db) -> None:
        self._db = db

    def get(self, did: Did) -> OlmPeerRow | None:
        """What is shared with a device."""
        row = self._db.one("SELECT did, uid, state, unwedged_ms FROM olm_peers WHERE did = ?", did)
        return None if row is None else OlmPeerRow(Did(row[0]), Uid(row[1]), Secret(row[2]), row[3])

    def some(self, dids: Sequence[Did]) -> Iterator[OlmPeerRow]:
        """What is shared with those of these devices that there are."""
        sql = "SELECT did, uid, state, unwedged_ms FROM olm_peers WHERE did IN"
        for did, uid, state, unwedged in self._db.among(sql, list(dict.fromkeys(dids))):
            yield OlmPeerRow(Did(did), Uid(uid), Secret(state), unwedged)

    def put(self, did: Did, uid: Uid, state: Secret) -> None:
        """Store the sessions; in the transaction that stores the envelope or its effect."""
        self._db.execute(_PUT_PEER, did, uid, state.reveal())

    def put_all(self, peers: Iterable[tuple[Did, Uid, Secret]]) -> None:
        """`put` for many devices."""
        self._db.each(_PUT_PEER, ((did, uid, state.reveal()) for did, uid, state in peers))

    def set_unwedged(self, did: Did, at_ms: int) -> None:
        """A new session was started to heal the old ones."""
        self._db.execute("UPDATE olm_peers SET unwedged_ms = ? WHERE did = ?", at_ms, did)

    def remove(self, did: Did) -> None:
        """The device is gone for good."""
        self._db.execute("DELETE FROM olm_peers WHERE did = ?", did)


class Envelopes:
    """`tx.envelopes`: received envelopes, each with exactly one outcome, and sent ones until confirmed."""

    __slots__ = ("_db",)

    def __init__(self, db: Db) -> None:
        self._db = db

    # --- received ---

    def outcome(self, blob_hash: bytes) -> EnvelopeOutcome | None:
        """Where an envelope ended, by the SHA-256 of its blob; None = not seen."""
        value = self._db.value("SELECT outcome FROM seen_envelopes WHERE hash = ?", blob_hash)
        return None if value is None else EnvelopeOutcome(value)

    def decide(self, blob_hash: bytes, outcome: EnvelopeOutcome, at_ms: int) -> None:
        """The envelope ends here; in the transaction that stores its effect. Takes it off the parked ones."""
        self._db.execute("INSERT OR REPLACE INTO seen_envelopes VALUES(?, ?, ?)", blob_hash, outcome.value, at_ms)
        if outcome is not EnvelopeOutcome.PARKED:
            self._db.execute("DELETE FROM parked WHERE hash = ?", blob_hash)

    def park(self, envelope: ParkedEnvelope) -> bool:
        """Keep an opened envelope until a list of its sender is there; False (and not kept) when there are too many."""
        if self._db.value("SELECT count(*) FROM parked") >= limits.PARKED_MAX:
            return False
        self._db.execute(
            "INSERT OR IGNORE INTO parked VALUES(?, ?, ?, ?)",
            envelope.hash,
            envelope.uid,
            envelope.outer,
            envelope.at_ms,
        )
        self.decide(envelope.hash, EnvelopeOutcome.PARKED, envelope.at_ms)
        return True

    def parked(self, uid: Uid) -> tuple[ParkedEnvelope, ...]:
        """What waits for a list of `uid`, oldest first."""
        sql = "SELECT hash, uid, outer, at_ms FROM parked WHERE uid = ? ORDER BY at_ms"
        return tuple(ParkedEnvelope(h, Uid(u), outer, at) for h, u, outer, at in self._db.all(sql, uid))

    def parked_uids(self) -> tuple[Uid, ...]:
        """Whose lists parked envelopes wait for."""
        return tuple(Uid(uid) for (uid,) in self._db.all("SELECT DISTINCT uid FROM parked"))

    def expire_parked(self, before_ms: int, now_ms: int) -> int:
        """Give up on what was parked before that time: failed; how many."""
        hashes = [h for (h,) in self._db.all("SELECT hash FROM parked WHERE at_ms < ?", before_ms)]
        for blob_hash in hashes:
            self.decide(blob_hash, EnvelopeOutcome.FAILED, now_ms)
        return len(hashes)

    def mid_is_new(self, uid: Uid, did: Did, mid: Mid, at_ms: int) -> bool:
        """Note an inner id; False when the sender has used it before."""
        return self._db.changed("INSERT OR IGNORE INTO seen_device_mids VALUES(?, ?, ?, ?)", uid, did, mid, at_ms) > 0

    def forget_seen(self, before_ms: int) -> None:
        """Forget envelopes and inner ids from before that time (`limits.SEEN_ENVELOPES_DAYS`)."""
        self._db.execute("DELETE FROM seen_envelopes WHERE at_ms < ? AND outcome <> 'parked'", before_ms)
        self._db.execute("DELETE FROM seen_device_mids WHERE at_ms < ?", before_ms)

    # --- sent ---

    def queue(
        self,
        *,
        uid: Uid,
        did: Did,
        prekey_id: int,
        blob: bytes,
        type: str,  # noqa: A002 - the envelope's own name for it
        session_id: SessionId | None,
        now_ms: int,
    ) -> int:
        """Keep a sealed envelope until the server confirms it; in the transaction that stores its ratchet. Its id."""
        return self._db.inserted(_QUEUE, uid, did, prekey_id, blob, type, session_id, now_ms)

    def queue_all(self, envelopes: Iterable[OutgoingEnvelope]) -> None:
        """`queue` for many, in this order; their ids are given here."""
        self._db.each(
            _QUEUE, ((e.uid, e.did, e.prekey_id, e.blob, e.type, e.session_id, e.created_ms) for e in envelopes)
        )

    def outgoing(self, after: int = 0, limit: int = limits.MAX_PUT_TARGETS) -> tuple[OutgoingEnvelope, ...]:
        """Envelopes with id > after that are not confirmed, in the order in which they were made."""
        return tuple(map(_outgoing, self._db.all(f"{_OUTGOING} WHERE id > ? ORDER BY id LIMIT ?", after, limit)))

    def outgoing_for(self, session_id: SessionId) -> tuple[OutgoingEnvelope, ...]:
        """Unconfirmed envelopes that carry the key of a sender session."""
        return tuple(map(_outgoing, self._db.all(f"{_OUTGOING} WHERE session_id = ? ORDER BY id", session_id)))

    def confirmed(self, envelope_id: int) -> None:
        """The server has stored the envelope, or refused it and it will be made anew."""
        self._db.execute("DELETE FROM device_outbox WHERE id = ?", envelope_id)


class KeyRequests:
    """`tx.requests`: the ladder of questions for missing sessions, and how often others were answered."""

    __slots__ = ("_db",)

    def __init__(self, db: Db) -> None:
        self._db = db

    def put(self, request: KeyRequestRow) -> None:
        """Note a question, new or a step further; the lowest index and the first time are kept."""
        self._db.execute(
            "INSERT INTO key_requests VALUES(?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "idx = min(idx, excluded.idx), step = excluded.step, next_ms = excluded.next_ms",
            chat_key(self._db, request.key.chat_id),
            request.key.session_id,
            request.key.uid,
            request.key.did,
            request.idx,
            request.step,
            request.first_ms,
            request.next_ms,
        )

    def due(self, now_ms: int, limit: int = 64) -> tuple[KeyRequestRow, ...]:
        """Questions whose next step is due."""
        rows = self._db.all(f"{_REQUEST} WHERE k.next_ms <= ? ORDER BY k.next_ms LIMIT ?", now_ms, limit)
        return tuple(map(_request, rows))

    def all(self) -> tuple[KeyRequestRow, ...]:
        """Every open question."""
        return tuple(map(_request, self._db.all(f"{_REQUEST} ORDER BY k.next_ms")))

    def next_due_ms(self) -> int | None:
        """When the next step is due."""
        value: int | None = self._db.value("SELECT min(next_ms) FROM key_requests")
        return value

    def hurry(self, chat_id: ChatId, session_id: SessionId, at_ms: int) -> None:
        """Ask again at that time, if the session is missing and the next question was to be later."""
        self._db.execute(
            "UPDATE key_requests SET next_ms = min(next_ms, ?) WHERE session_id = ? AND chat = "
            "(SELECT key FROM chats WHERE chat_id = ?)",
            at_ms,
            session_id,
            chat_id,
        )

    def open(self, chat_id: ChatId, session_id: SessionId) -> tuple[KeyRequestRow, ...]:
        """The questions for a session: without one, a secret that comes was not asked for."""
        sql = f"{_REQUEST} WHERE c.chat_id = ? AND k.session_id = ?"
        return tuple(map(_request, self._db.all(sql, chat_id, session_id)))

    def remove(self, chat_id: ChatId, session_id: SessionId) -> None:
        """Answered, or given up."""
        key = chat_key(self._db, chat_id)
        self._db.execute("DELETE FROM key_requests WHERE chat = ? AND session_id = ?", key, session_id)

    def may_answer(self, did: Did, now_ms: int, *, per_hour: int = 20, kind: bytes = b"") -> bool:
        """Whether a device may be answered once more this hour; if so the answer is counted, each `kind` for itself."""
        whom = did + kind
        self._db.execute("DELETE FROM key_answers WHERE at_ms < ?", now_ms - 3_600_000)
        if self._db.value("SELECT count(*) FROM key_answers WHERE did = ?", whom) >= per_hour:
            return False
        self._db.execute("INSERT INTO key_answers(did, at_ms) VALUES(?, ?)", whom, now_ms)
        return True


def _outgoing(row: Row) -> OutgoingEnvelope:
    envelope_id, uid, did, prekey_id, blob, kind, session_id, created = row
    session = None if session_id is None else SessionId(session_id)
    return OutgoingEnvelope(envelope_id, Uid(uid), Did(did), prekey_id, blob, kind, session, created)


def _request(row: Row) -> KeyRequestRow:
    chat_id, session_id, uid, did, idx, step, first, following = row
    return KeyRequestRow(
        InboundKey(ChatId(chat_id), SessionId(session_id), Uid(uid), Did(did)), idx, step, first, following
    )
