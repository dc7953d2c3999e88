"""Opens a row with its author's session, and does what the message in it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from mensajeria.client.engine.acks import seen_by_other
from mensajeria.client.engine.former_life import anything_waits, facts_for, give_way
from mensajeria.client.engine.keylog.gossip import note_told
from mensajeria.client.engine.kinds import Arrival, Kinds
from mensajeria.client.engine.log_gaps import is_passed
from mensajeria.client.engine.me import Me
from mensajeria.client.engine.membership import Chain, Memberships, known_identity_at
from mensajeria.client.engine.missing_rows import MissingRows
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.skipped_rows import SkippedRows
from mensajeria.client.store import Tx
from mensajeria.client.store.key_values import Inbound, InboundKey
from mensajeria.client.store.values import NewMessage, RawRow
from mensajeria.crypto.inbound import InboundSession
from mensajeria.crypto.message import OpenedMessage, RefusedMessage, open_message
from mensajeria.protocol.ids import ChatId, Did, Mid, SessionId, Uid
from mensajeria.protocol.membership import ChatKind, is_quarantined
from mensajeria.protocol.records import MembershipHead, MessageOuter

LATE: Final = {"late": "1"}
"""Parameters of a message that its author's removal had overtaken: shown folded, not counted."""


class RowOpener:
    """Verifies messages and takes them in. Its methods run in the store's thread, inside a transaction."""

    def __init__(
        self, me: Me, memberships: Memberships, kinds: Kinds, missing: MissingRows, skipped: SkippedRows
    ) -> None:
        self._me = me
        self._memberships = memberships
        self._kinds = kinds
        self._missing = missing
        self._skipped = skipped
        self._sessions: dict[tuple[ChatId, SessionId], list[tuple[Inbound, InboundSession]]] = {}
        self._waits = False
        """Something own has no row yet."""
        self._seen: dict[ChatId, int] = {}
        """The highest row that somebody else has written, of each chat; looked at once, at the end of a step."""
        self._identities: dict[tuple[bytes, int], bytes | None] = {}
        """Of authors, by the version of their list; of one step."""

    def begin(self, tx: Tx) -> None:
        """A step begins."""
        self._waits = anything_waits(tx)
        self._sessions.clear()
        self._seen.clear()
        self._identities.clear()

    def finish(self, tx: Tx) -> None:
        """A step ends."""
        for chat_id, seq in self._seen.items():
            seen_by_other(tx, chat_id, seq)

    def is_somebody_elses(self, tx: Tx, chat_id: ChatId, session_id: SessionId) -> bool:
        """Whether the session is verified to be another device's."""
        sessions = self._inbound(tx, chat_id, session_id)
        return bool(sessions) and all(stored.key.did != self._me.did for stored, _ in sessions)

    def open(self, tx: Tx, row: RawRow, outer: MessageOuter) -> OpenedMessage | RefusedMessage | None:
        """Open with the sessions of that id; None when there is none."""
        chain = self._memberships.of(tx, row.chat_id)
        refused: RefusedMessage | None = None
        for stored, session in self._inbound(tx, row.chat_id, SessionId(outer.session_id)):
            result = open_message(
                row.body,
                session,
                chat_id=row.chat_id,
                facts=facts_for(tx, self._me, stored.key, outer) if self._waits else tx.replays,
                member_at=lambda head, uid, dl_ver: self._may_write(tx, chain, head, uid, dl_ver),
                arrived_ms=row.server_ms,
                last_epoch_before=_epochs(chain),
            )
            if isinstance(result, OpenedMessage):
                if result.session_changed:
                    next_idx = self._missing.next_of(stored)
                    tx.inbound.put(Inbound(stored.key, result.inbound.dump(), stored.created_ms, next_idx))
                    self._sessions.clear()
                return result
            refused = refused or result
        return refused

    def _inbound(self, tx: Tx, chat_id: ChatId, session_id: SessionId) -> list[tuple[Inbound, InboundSession]]:
        key = (chat_id, session_id)
        if key not in self._sessions:
            found = tx.inbound.find(chat_id, session_id)
            self._sessions[key] = [(stored, InboundSession.load(stored.state)) for stored in found]
        return self._sessions[key]

    def _may_write(self, tx: Tx, chain: Chain, head: MembershipHead, uid: bytes, dl_ver: int) -> bool | None:
        """As `Chain.member_at`, and under the identity that the chat knew there, not one the server has put there."""
        allowed = chain.member_at(head, uid, dl_ver)
        if not allowed:
            return allowed
        state = chain.at(head.seq)
        assert state is not None, "the head was found there"
        named = state.members[uid].idfp
        if not named:
            return True
        key = (uid, dl_ver)
        if key not in self._identities:
            self._identities[key] = known_identity_at(tx, uid, dl_ver)
        return self._identities[key] in {None, named}

    def accept(self, tx: Tx, out: Outcome, row: RawRow, opened: OpenedMessage) -> NewMessage | None:
        """Note what the message uses up and what it tells, and do what its type says; its place in the timeline."""
        self._note(tx, out, row, opened)
        late = self._is_late(tx, row, opened)
        message = self._kinds.read(tx, out, self._arrival(tx, row, opened, late=late))
        if message is not None and late:
            return replace(message, counted=False, params={**message.params, **LATE})
        if message is not None and self._skipped.have(tx, row.chat_id, row.seq):
            return replace(message, counted=False)
        return message

    def _note(self, tx: Tx, out: Outcome, row: RawRow, opened: OpenedMessage) -> None:
        inner = opened.inner
        key = InboundKey(row.chat_id, SessionId(inner.session_id), Uid(inner.uid), Did(inner.did))
        self._missing.note_voids(tx, key, inner)
        gap = self._missing.before(tx, key, opened)
        sealed_here = tx.replays.ciphertext_hash(key.session_id, opened.index) is not None
        self._missing.came(tx, key, opened.index)
        tx.replays.note(key.chat_id, key.uid, Mid(inner.mid), key.session_id, opened.index, opened.ct_hash)
        if gap.count:
            self._missing.tell(tx, out, row, key, gap)
        if opened.unrotated:
            out.warn(tx, "not_rotated", self._me.clock.now_ms(), row.chat_id)
        if key.uid == self._me.uid:
            self._note_own(tx, out, key, Mid(inner.mid), sealed_here=sealed_here)
        else:
            note_told(tx, out, inner)
            self._seen[key.chat_id] = max(row.seq, self._seen.get(key.chat_id, 0))

    def _note_own(self, tx: Tx, out: Outcome, author: InboundKey, mid: Mid, *, sealed_here: bool) -> None:
        if author.did == self._me.did and not sealed_here:
            # What this device seals is noted before it leaves: something has sealed this with a copy of its keys.
            out.rolled_back = True
        if self._waits:
            give_way(tx, out, self._me, author.chat_id, mid)

    def _arrival(self, tx: Tx, row: RawRow, opened: OpenedMessage, *, late: bool) -> Arrival:
        """With the author's role at the message's head, which the checks have found in the chain."""
        inner = opened.inner
        at_head = self._memberships.of(tx, row.chat_id).at(inner.mhead.seq)
        return Arrival(
            chat_id=row.chat_id,
            seq=row.seq,
            server_ms=row.server_ms,
            inner=inner,
            body=opened.body,
            idx=opened.index,
            clock_off=opened.clock_off,
            outgoing=inner.uid == self._me.uid,
            direct=at_head is not None and at_head.kind is ChatKind.DIRECT,
            role=None if at_head is None else at_head.role(inner.uid),
            late=late,
        )

    def _is_late(self, tx: Tx, row: RawRow, opened: OpenedMessage) -> bool:
        """Was the author cut off already when the row came into the log?"""
        chain = self._memberships.of(tx, row.chat_id)
        inner = opened.inner
        cut = chain.cut_after(inner.mhead.seq, inner.uid, opened.inbound.binding.dl_ver)
        return cut is not None and is_quarantined(
            mhead_seq=inner.mhead.seq,
            cut_seq=cut,
            cut_row_seq=chain.row_of(cut),
            row_seq=row.seq,
            cursor_passed=self._skipped.have(tx, row.chat_id, row.seq) or is_passed(tx, row.chat_id, row.seq),
        )


def _epochs(chain: Chain) -> Callable[[int], int]:
    def last_epoch_before(seq: int) -> int:
        return (chain.at(seq) or chain.now).epoch

    return last_epoch_before
