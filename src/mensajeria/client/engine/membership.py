"""The membership of direct chats as this device has verified it."""

from __future__ import annotations

from dataclasses import dataclass, field

from mensajeria.client.engine.me import Me
from mensajeria.client.engine.people import list_of
from mensajeria.client.store import Tx
from mensajeria.client.store.values import MemberEventRow
from mensajeria.protocol.devices import VerifiedList
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.ids import ChatId
from mensajeria.protocol.membership import (
    MembershipState,
    Valid,
    Verdict,
    judge,
    lookup_in,
    start_direct,
)
from mensajeria.protocol.records import MembershipHead, Signed


@dataclass(slots=True)
class Chain:
    """A chat's states, oldest first: one before its first event, one after each."""

    states: list[MembershipState] = field(default_factory=list)

    @property
    def now(self) -> MembershipState:
        """The newest state."""
        return self.states[-1]

    def member_at(self, head: MembershipHead, uid: bytes, dl_ver: int) -> bool | None:
        """Whether `uid`, under its list `dl_ver`, could write under `head`; None when that head is not known here."""
        if head.seq >= len(self.states) or self.states[head.seq].head != head:
            return None
        return self.states[head.seq].may_write(uid, dl_ver)


class Memberships:
    """Chains by chat, rebuilt from the store's events when first asked for. Lives in the store's thread."""

    def __init__(self, me: Me) -> None:
        self._me = me
        self._chains: dict[ChatId, Chain] = {}

    def of(self, tx: Tx, chat_id: ChatId) -> Chain:
        """The chain of a stored direct chat."""
        chain = self._chains.get(chat_id)
        if chain is None:
            chain = self._chains[chat_id] = self._rebuild(tx, chat_id)
        return chain

    def judge(self, tx: Tx, chat_id: ChatId, signed: Signed, row_seq: int) -> Verdict:
        """Apply the event of log row `row_seq` if it is valid; a void one has no effect."""
        chain = self.of(tx, chat_id)
        verdict = judge(chain.now, signed, lookup_in(self._lists(tx, chain.now)))
        if isinstance(verdict, Valid):
            state = verdict.state
            row = MemberEventRow(state.seq, state.hash, signed.body, signed.sig, row_seq)
            tx.chats.add_member_event(chat_id, row)
            tx.chats.set_membership(
                chat_id, member_seq=state.seq, epoch=state.epoch, mhead=encode(state.head), membership=b""
            )
            chain.states.append(state)
        return verdict

    def forget(self) -> None:
        """A transaction was rolled back: what it had added here is read again from the store."""
        self._chains.clear()

    def _rebuild(self, tx: Tx, chat_id: ChatId) -> Chain:
        chat = tx.chats.get(chat_id)
        assert chat is not None, "the caller has looked"
        chain = Chain([start_direct(chat_id, self._me.server_id, self._me.uid, chat.peer)])
        for row in tx.chats.member_events(chat_id):
            verdict = judge(chain.now, Signed(row.body, row.sig), lookup_in(self._lists(tx, chain.now)))
            if not isinstance(verdict, Valid):
                break
            chain.states.append(verdict.state)
        return chain

    def _lists(self, tx: Tx, state: MembershipState) -> dict[bytes, VerifiedList]:
        found = {uid: list_of(tx, uid) for uid in state.members}
        return {uid: verified for uid, verified in found.items() if verified is not None}
