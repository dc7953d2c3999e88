"""The membership of chats as this device has verified it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from mensajeria.client.engine.me import Me
from mensajeria.client.engine.people import list_of
from mensajeria.client.store import Tx
from mensajeria.client.store.values import Halt, MemberEventRow
from mensajeria.protocol import limits
from mensajeria.protocol.devices import decode_device_list
from mensajeria.protocol.encoding import MalformedError, NewerVersionError, encode
from mensajeria.protocol.ids import ChatId, Uid
from mensajeria.protocol.membership import (
    MembershipState,
    NewerType,
    Signer,
    SignerLookup,
    Unavailable,
    Valid,
    Verdict,
    Void,
    VoidReason,
    decode_member_event,
    event_hash,
    group_chat_id,
    judge,
    lookup_in,
    replay,
    start_direct,
)
from mensajeria.protocol.records import MemberEvent, MembershipHead, Signed

_MISPLACED = frozenset({VoidReason.STALE, VoidReason.WRONG_PREV})


@dataclass(slots=True)
class Chain:
    """A chat's states, oldest first: before its first event (direct chats only), then one after each event."""

    states: list[MembershipState] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    """Beside each state the log's row of its event, 0 = none."""

    @property
    def now(self) -> MembershipState:
        """The newest state."""
        return self.states[-1]

    def at(self, seq: int) -> MembershipState | None:
        """The state after event `seq`; None when that is not known here."""
        index = seq - self.states[0].seq
        return self.states[index] if 0 <= index < len(self.states) else None

    def row_of(self, seq: int) -> int:
        """The log's row of event `seq`, 0 = none."""
        index = seq - self.states[0].seq
        return self.rows[index] if 0 <= index < len(self.rows) else 0

    def member_at(self, head: MembershipHead, uid: bytes, dl_ver: int) -> bool | None:
        """Whether `uid`, under its list `dl_ver`, could write under `head`; None when that head is not known here."""
        state = self.at(head.seq)
        if state is None or state.head != head:
            return None
        return state.may_write(uid, dl_ver)

    def cut_after(self, seq: int, uid: bytes, dl_ver: int) -> int | None:
        """The first event after `seq` by which who wrote under the list `dl_ver` could not write any more."""
        for state in self.states[max(0, seq + 1 - self.states[0].seq) :]:
            if not state.may_write(uid, dl_ver):
                return state.seq
        return None

    def is_same_person(self, seq: int, uid: bytes) -> bool:
        """Whether who is in it now under an identity was in it by that very one, or one that it follows, at `seq`.

        Who was added anew after an identity that nothing proves may be somebody else.
        """
        state, row = self.at(seq), self.now.members.get(uid)
        before = None if state is None else state.members.get(uid)
        if row is None or before is None:
            return False
        joined = self.joined(uid)
        return before.idfp == row.idfp or (joined is not None and joined <= seq)

    def joined(self, uid: bytes) -> int | None:
        """The event by which somebody who is in it now came in last."""
        if not self.now.is_member(uid):
            return None
        found = self.now.seq
        for state in reversed(self.states):
            if not state.is_member(uid):
                break
            found = state.seq
        return found

    def out_since(self, uid: bytes, joined: int) -> int:
        """The row of the event by which who came in by event `joined` had gone out before; 0 for the first time."""
        found = 0
        for before, after in pairwise(self.states):
            if after.seq < joined and before.is_member(uid) and not after.is_member(uid):
                found = self.row_of(after.seq)
        return found

    def set_row(self, seq: int, row: int) -> None:
        """The event `seq` stands in this row of the log."""
        self.rows[seq - self.states[0].seq] = row

    def append(self, state: MembershipState, row: int) -> None:
        """One more event."""
        self.states.append(state)
        self.rows.append(row)


@dataclass(frozen=True, slots=True)
class Known:
    """The event stands in the chain already."""

    state: MembershipState
    event: MemberEvent


@dataclass(frozen=True, slots=True)
class Fork:
    """Proof: this event and the one in the chain are both valid after the same state."""

    first: Signed
    second: Signed


class Memberships:
    """Chains by chat, rebuilt from the store's events when first asked for. Lives in the store's thread."""

    def __init__(self, me: Me) -> None:
        self._me = me
        self._chains: dict[ChatId, Chain] = {}

    def of(self, tx: Tx, chat_id: ChatId) -> Chain:
        """The chain of a stored chat."""
        chain = self._chains.get(chat_id)
        if chain is None:
            chain = self._chains[chat_id] = self._rebuild(tx, chat_id)
        return chain

    def members(self, tx: Tx, chat_id: ChatId) -> tuple[Uid, ...]:
        """Who is in a stored chat now, oneself included."""
        return tuple(Uid(uid) for uid in self.of(tx, chat_id).now.members)

    def shows_delivered(self, tx: Tx, chat_id: ChatId) -> bool:
        """Whether anybody is shown how far a stored chat has been delivered: in large groups nobody is."""
        return len(self.of(tx, chat_id).now.members) <= limits.READ_RECEIPTS_MEMBERS

    def others(self, tx: Tx, chat_id: ChatId) -> tuple[Uid, ...]:
        """Who else is in a stored chat now; oneself in the note to self."""
        members = self.members(tx, chat_id)
        return tuple(uid for uid in members if uid != self._me.uid) or members

    def is_member(self, tx: Tx, chat_id: ChatId, uid: bytes) -> bool:
        """Whether somebody is in a stored chat now."""
        return self.of(tx, chat_id).now.is_member(uid)

    def judge(self, tx: Tx, chat_id: ChatId, signed: Signed, row_seq: int) -> Verdict | Known | Fork:
        """Apply the event of log row `row_seq` if it is valid; a void one has no effect."""
        chain = self.of(tx, chat_id)
        known = _known(chain, signed)
        if known is not None:
            if row_seq and not chain.row_of(known.state.seq):
                self._note_row(tx, chat_id, chain, known.state.seq, row_seq)
            return known
        lookup = self.lookup(tx)
        verdict = judge(chain.now, signed, lookup)
        if isinstance(verdict, Valid):
            self._apply(tx, chat_id, chain, verdict.state, signed, row_seq)
        elif isinstance(verdict, NewerType) and tx.groups.get(chat_id) is not None:
            tx.groups.halt(chat_id, Halt.NEWER)
        elif isinstance(verdict, Void) and verdict.reason in _MISPLACED:
            return self._fork(tx, chat_id, chain, signed, lookup) or verdict
        return verdict

    def start_group(self, tx: Tx, chat_id: ChatId, chain: Chain, events: Iterable[tuple[Signed, int]]) -> None:
        """Keep a verified chain, in place of what was known of it; its group is stored."""
        for (signed, row), state in zip(events, chain.states, strict=True):
            tx.chats.add_member_event(chat_id, MemberEventRow(state.seq, state.hash, signed.body, signed.sig, row))
        self._chains[chat_id] = chain
        self._note_state(tx, chat_id, chain.now)

    def continues(self, tx: Tx, chat_id: ChatId, chain: Chain) -> bool:
        """Whether a verified chain goes on from what is known of a chat; of an unknown one anything does."""
        if tx.chats.get(chat_id) is None:
            return True
        now = self.of(tx, chat_id).now
        there = chain.at(now.seq)
        return there is not None and there.hash == now.hash

    def lookup(self, tx: Tx) -> SignerLookup:
        """Who signs: the newest list of each user, under the identity that it had at the version asked for."""

        def signer(uid: bytes, did: bytes, dl_ver: int) -> Signer | Unavailable:
            verified = list_of(tx, uid)
            if verified is None:
                return Unavailable.PENDING
            found = lookup_in({uid: verified})(uid, did, dl_ver)
            if isinstance(found, Signer):
                return Signer(found.ed25519, known_identity_at(tx, uid, dl_ver) or verified.idfp)
            return found

        return signer

    def forget(self) -> None:
        """A transaction was rolled back: what it had added here is read again from the store."""
        self._chains.clear()

    def _apply(
        self, tx: Tx, chat_id: ChatId, chain: Chain, state: MembershipState, signed: Signed, row_seq: int
    ) -> None:
        tx.chats.add_member_event(chat_id, MemberEventRow(state.seq, state.hash, signed.body, signed.sig, row_seq))
        chain.append(state, row_seq)
        self._note_state(tx, chat_id, state)

    @staticmethod
    def _note_row(tx: Tx, chat_id: ChatId, chain: Chain, seq: int, row_seq: int) -> None:
        """An event that came beside the log, or that a restored server had lost, has its row."""
        chain.set_row(seq, row_seq)
        tx.chats.set_event_row(chat_id, seq, row_seq)

    def _note_state(self, tx: Tx, chat_id: ChatId, state: MembershipState) -> None:
        tx.chats.set_membership(
            chat_id, member_seq=state.seq, epoch=state.epoch, mhead=encode(state.head), membership=b""
        )
        if tx.groups.get(chat_id) is None:
            return
        tx.groups.set_members(chat_id, {uid: row.role.value for uid, row in state.members.items()}, self._me.uid)
        if state.superseded_by:
            tx.groups.set_superseded(chat_id, ChatId(state.superseded_by))
        if not state.is_member(self._me.uid):
            tx.groups.set_leaving(chat_id, leaving=False)

    @staticmethod
    def _fork(tx: Tx, chat_id: ChatId, chain: Chain, signed: Signed, lookup: SignerLookup) -> Fork | None:
        """Proof only: the other event must be valid after the state that the known one followed."""
        seq = decode_member_event(signed.body).seq
        before = chain.at(seq - 1)
        if before is None or not isinstance(judge(before, signed, lookup), Valid):
            return None
        rows = {row.seq: row for row in tx.chats.member_events(chat_id)}
        return Fork(Signed(rows[seq].body, rows[seq].sig), signed) if seq in rows else None

    def _rebuild(self, tx: Tx, chat_id: ChatId) -> Chain:
        chat = tx.chats.get(chat_id)
        assert chat is not None, "the caller has looked"
        chain = Chain()
        if chat.peer is not None:
            chain.append(start_direct(chat_id, self._me.server_id, self._me.uid, chat.peer), 0)
        for row in tx.chats.member_events(chat_id):
            try:
                chain.append(replay(chain.states[-1] if chain.states else None, row.body), row.chat_seq)
            except ValueError:
                break
        return chain


def verify_chain(
    chat_id: ChatId, events: Iterable[tuple[Signed, int]], lookup: SignerLookup
) -> tuple[list[tuple[Signed, int]], Chain] | None:
    """The chain that a group's events make from the create event on, and which of them are valid.

    Void ones are skipped, as they are in the log. None when it is not this group's chain, or cannot be told (yet).
    """
    chain, valid = Chain(), list[tuple[Signed, int]]()
    for signed, row in events:
        if not valid and group_chat_id(signed.body) != chat_id:
            return None
        verdict = judge(chain.states[-1] if chain.states else None, signed, lookup)
        if isinstance(verdict, NewerType) and valid:
            break  # its row halts the group
        if isinstance(verdict, Valid):
            chain.append(verdict.state, row)
            valid.append((signed, row))
        elif not isinstance(verdict, Void) or not valid:
            return None
    return (valid, chain) if valid else None


def _known(chain: Chain, signed: Signed) -> Known | None:
    try:
        event = decode_member_event(signed.body)
    except (MalformedError, NewerVersionError):
        return None
    state = chain.at(event.seq)
    return Known(state, event) if state is not None and state.hash == event_hash(signed.body) else None


def known_identity_at(tx: Tx, uid: bytes, dl_ver: int) -> bytes | None:
    """The identity that a user had at that version of their list; None where that version was never seen here.

    Versions that came between two seen ones are kept wherever an identity changed (`Directory`); what is not here is
    from before the user was met.
    """
    contact = tx.contacts.get(Uid(uid))
    if contact is None or dl_ver >= contact.list_ver:
        return None if contact is None else contact.idfp
    body = tx.contacts.list_body(Uid(uid), dl_ver)
    return None if body is None else decode_device_list(body).idfp
