"""From the outbox to ciphertexts: which session, who must have its key first, and the encryption itself."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Final

from mensajeria.client.api import MessageState, MessageStateChanged
from mensajeria.client.engine.acks import acked_name
from mensajeria.client.engine.identity_moves import is_known_in
from mensajeria.client.engine.keylog.gossip import to_tell
from mensajeria.client.engine.kinds.own import WITHOUT_PLACE, take_back
from mensajeria.client.engine.letters import ROOM_KEY, Letter, devices_of
from mensajeria.client.engine.me import Me
from mensajeria.client.engine.membership import Memberships
from mensajeria.client.engine.notices import note_left_out
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.people import verified_list
from mensajeria.client.engine.profile_letters import profile_letters
from mensajeria.client.engine.timers import timer_of, ttl_bucket
from mensajeria.client.engine.withheld import kept_key, withhold
from mensajeria.client.store import Tx
from mensajeria.client.store.key_values import Inbound, InboundKey, Outbound, Share, ShareOutcome
from mensajeria.client.store.values import Chat, Halt, OutboxItem, Sealed
from mensajeria.crypto.inbound import InboundSession
from mensajeria.crypto.message import (
    Draft,
    MessageTooLargeError,
    decode_outer,
    delete_hash,
    delete_key,
    delete_token,
    seal_message,
)
from mensajeria.crypto.sender import OutboundSession, decode_room_key, must_rotate
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.devices import VerifiedList
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.errors import Code
from mensajeria.protocol.ids import ChatId, Did, Mid, SessionId, Uid
from mensajeria.protocol.membership import MembershipState
from mensajeria.protocol.records import PreviousSession, Reference, VoidIndex

RETRY_SHARE_MS: Final = {
    ShareOutcome.QUEUED: 10**15,  # the envelope is kept and sent until it is confirmed
    ShareOutcome.SHARED: 10**15,
    ShareOutcome.STALE: 60_000,
    ShareOutcome.QUOTA: 600_000,
    ShareOutcome.REFUSED: 600_000,
}
"""A device that could not be given the key is tried again with a later message after this time."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What can be sent now, and what must happen before the rest can."""

    ready: tuple[OutboxItem, ...] = ()
    """Sealed, in order."""
    lists: tuple[Uid, ...] = ()
    """Device lists to fetch first."""
    letters: tuple[Letter, ...] = ()
    """Session keys to hand out first."""
    exhausted: bool = False
    """The vault must allow more encryptions first."""
    blocked: bool = False
    """A verified contact's identity changed: nothing is encrypted before the answer."""


_NONE: Final[frozenset[Uid]] = frozenset()


@dataclass(frozen=True, slots=True)
class _Audience:
    """Whose devices get the key of a chat's next message."""

    lists: list[VerifiedList]
    wanted: tuple[Uid, ...] = ()
    """Whose list must be fetched before anything is encrypted."""
    left_out: tuple[Uid, ...] = ()
    """Members of a group whose list is not that of the identity that the group knows, or cannot be had."""


def room_key_name(session_id: SessionId) -> str:
    """Name among the own keys of a session's signed first key, for devices that ask for it later."""
    return f"room_key:{session_id.hex()}"


class Sealer:
    """Runs in the store's thread, inside transactions."""

    def __init__(self, me: Me, memberships: Memberships, allowance: Callable[[Tx], int]) -> None:
        self._me = me
        self._memberships = memberships
        self._allowance = allowance

    def plan(self, tx: Tx, out: Outcome, chat_id: ChatId, limit: int, unusable: Collection[Uid] = _NONE) -> Plan:
        """Seal up to `limit` of the chat's messages if everybody can be given the key, else say what is missing.

        `unusable`: members of a group whose newest list the server does not give, or gives a false one.
        """
        items = tx.outbox.pending(chat_id, limit)
        if all(item.sealed is not None for item in items):
            return Plan(items)
        ready = _sealed_prefix(items)
        chat = tx.chats.get(chat_id)
        assert chat is not None
        if chat.is_group and (halted := self._halted(tx, out, chat, items)) is not None:
            return halted
        state = self._memberships.of(tx, chat_id).now
        if not is_known_in(tx, self._me, state):
            return Plan()  # its `identity` event goes first
        audience = self._audience(tx, chat, state, unusable)
        if audience.wanted:
            return Plan(ready, lists=audience.wanted)
        if self._is_blocked(tx, chat):
            return Plan(ready, blocked=True)
        session = self._session(tx, chat, state, audience.lists)
        letters = self._letters(tx, session, audience.lists)
        if letters:
            met = [(letter.uid, letter.did) for letter in letters]
            return Plan(ready, letters=(*letters, *profile_letters(tx, self._me, chat, met)))
        note_left_out(tx, out, self._me, chat, audience.left_out)
        withhold(tx, session, audience.left_out)
        allowed = self._allowance(tx)
        unsealed = [item for item in items if item.sealed is None]
        sealed = self._seal(tx, out, chat, state, session, unsealed[:allowed])
        now = [sealed.get(item.mid, item) for item in items]
        return Plan(_sealed_prefix([item for item in now if item.failed is None]), exhausted=len(unsealed) > allowed)

    def throw_away(self, tx: Tx, chat_id: ChatId) -> int | None:
        """The server calls the epoch stale: no ciphertext made under it will be stored. Starts a new session.

        The epoch that these ciphertexts name; None when there were none.
        """
        items = tx.outbox.pending(chat_id, limit=10_000)
        for item in items:
            tx.outbox.unseal(chat_id, item.mid)
        self._end_session(tx, chat_id)
        tx.outbound.drop(chat_id)
        return max((item.sealed.epoch for item in items if item.sealed is not None), default=None)

    def introduce(
        self, tx: Tx, chat_id: ChatId, unusable: Collection[Uid] = _NONE
    ) -> tuple[tuple[Uid, ...], tuple[Letter, ...]]:
        """Lists to fetch, or the keys that members lack, before there is anything to say: with it goes the name."""
        chat = tx.chats.get(chat_id)
        group = tx.groups.get(chat_id)
        if chat is None or group is None or not group.is_writable or not chat.accepted:
            return (), ()
        state = self._memberships.of(tx, chat_id).now
        if not is_known_in(tx, self._me, state):
            return (), ()
        audience = self._audience(tx, chat, state, unusable)
        if audience.wanted:
            return audience.wanted, ()
        return (), tuple(self._letters(tx, self._session(tx, chat, state, audience.lists), audience.lists))

    def _halted(self, tx: Tx, out: Outcome, chat: Chat, items: Sequence[OutboxItem]) -> Plan | None:
        """Nothing is written into a group that one is not in, or that is closed; a fork leaves the choice."""
        group = tx.groups.get(chat.chat_id)
        if group is not None and group.is_writable:
            return None
        if group is not None and group.halted is not Halt.NONE:
            return Plan()
        for item in items:
            fail(tx, out, self._me, chat.chat_id, item, Code.UNKNOWN_CHAT)
        return Plan()

    @staticmethod
    def _is_blocked(tx: Tx, chat: Chat) -> bool:
        contact = None if chat.peer is None else tx.contacts.get(chat.peer)
        return contact is not None and contact.sending_blocked

    def _audience(self, tx: Tx, chat: Chat, state: MembershipState, unusable: Collection[Uid]) -> _Audience:
        """The members' newest verified lists. In a group a member without a usable one keeps nobody waiting."""
        stale = set(tx.contacts.stale())
        lists: list[VerifiedList] = []
        wanted: list[Uid] = []
        left_out: list[Uid] = []
        for row in state.members.values():
            uid = Uid(row.uid)
            if chat.is_group and uid in unusable:
                left_out.append(uid)
                continue
            contact = tx.contacts.get(uid)
            if contact is None or uid in stale:
                wanted.append(uid)
            elif chat.is_group and (contact.idfp != row.idfp or contact.sending_blocked):
                left_out.append(uid)
            else:
                lists.append(verified_list(contact))
        return _Audience(lists, tuple(wanted), tuple(left_out))

    def _session(self, tx: Tx, chat: Chat, state: MembershipState, lists: list[VerifiedList]) -> OutboundSession:
        row = tx.outbound.get(chat.chat_id)
        now = self._me.clock.now_ms()
        if row is not None:
            session = OutboundSession.load(row.state)
            fetched = row.fetched or chat.note_to_self
            devices = sum(len(verified.list.devices) for verified in lists)
            timed = replace(state, timer_s=timer_of(tx, chat.chat_id, state))
            if not must_rotate(session, state=timed, now_ms=now, devices=devices, last_key_fetched=fetched):
                return session
            self._end_session(tx, chat.chat_id)
        return self._new_session(tx, chat.chat_id, state, now)

    def _end_session(self, tx: Tx, chat_id: ChatId) -> None:
        row = tx.outbound.get(chat_id)
        if row is None:
            return
        acked = tx.meta.number(acked_name(row.session_id))
        if acked:
            tx.chats.set_previous_session(chat_id, row.session_id, acked - 1)

    def _new_session(self, tx: Tx, chat_id: ChatId, state: MembershipState, now: int) -> OutboundSession:
        device, timer_s = self._me.device(tx), timer_of(tx, chat_id, state)
        session = OutboundSession.create(
            device,
            chat_id=chat_id,
            head=state.head,
            dl_ver=self._me.contact(tx).list_ver,
            now_ms=now,
            timer_s=timer_s,
        )
        session_id, content = SessionId(session.session_id), session.room_key()
        own = InboundSession.from_room_key(decode_room_key(content), session.binding)
        key = InboundKey(chat_id, session_id, self._me.uid, self._me.did)
        if timer_s:
            tx.timers.note_session(session_id)
        tx.inbound.put(Inbound(key, own.dump(), now, 0))
        tx.own.put(room_key_name(session_id), Secret(content))
        skb = encode(session.signed_binding)
        tx.outbound.put(Outbound(chat_id, session_id, session.dump(), skb, now, 0, state.epoch))
        return session

    def _letters(self, tx: Tx, session: OutboundSession, lists: list[VerifiedList]) -> list[Letter]:
        session_id, now = SessionId(session.session_id), self._me.clock.now_ms()
        shares = tx.outbound.shares(session_id)
        missing = [
            (uid, did)
            for uid, did in devices_of(lists, but=self._me.did)
            if did not in shares or now - shares[did].at_ms > RETRY_SHARE_MS[shares[did].outcome]
        ]
        if not missing:
            return []
        gpk = tx.groups.key(ChatId(session.binding.chat_id))
        now_key = session.room_key(b"" if gpk is None else gpk.reveal())
        return [self._letter(tx, session, uid, did, shares, now_key) for uid, did in missing]

    @staticmethod
    def _letter(
        tx: Tx, session: OutboundSession, uid: Uid, did: Did, shares: dict[Did, Share], now_key: bytes
    ) -> Letter:
        """A device that was meant to have the key from the start gets it from there, a new one from now on.

        Somebody who was left out for a while gets it from the first message that they were left out of.
        """
        session_id = SessionId(session.session_id)
        kept = kept_key(tx, ChatId(session.binding.chat_id), session_id, uid)
        if kept is not None:
            return Letter(uid, did, ROOM_KEY, kept[0], session_id, kept[1])
        first = tx.own.get(room_key_name(session_id)) if did in shares else None
        if first is not None and shares[did].idx == 0:
            return Letter(uid, did, ROOM_KEY, first.reveal(), session_id, 0)
        return Letter(uid, did, ROOM_KEY, now_key, session_id, session.index)

    def _seal(
        self,
        tx: Tx,
        out: Outcome,
        chat: Chat,
        state: MembershipState,
        session: OutboundSession,
        items: Sequence[OutboxItem],
    ) -> dict[Mid, OutboxItem]:
        """The items as they stand afterwards: sealed, or failed."""
        key = delete_key(self._me.settings_key(tx))
        session_id = SessionId(session.session_id)
        prev = None
        if chat.prev_session is not None and chat.prev_idx is not None and chat.prev_session != session_id:
            prev = PreviousSession(chat.prev_session, chat.prev_idx)
        done: dict[Mid, OutboxItem] = {}
        for number, item in enumerate(items):
            void = () if number else tx.outbound.take_voids(chat.chat_id, item.mid)
            done[item.mid] = self._seal_item(tx, out, chat.chat_id, state, session, item, prev, void, key)
        if items:
            tx.own.count_gen(len(items))
        return done

    def _seal_item(
        self,
        tx: Tx,
        out: Outcome,
        chat_id: ChatId,
        state: MembershipState,
        session: OutboundSession,
        item: OutboxItem,
        prev: PreviousSession | None,
        void: tuple[VoidIndex, ...],
        key: Secret,
    ) -> OutboxItem:
        session_id = SessionId(session.session_id)
        refs = tuple(Reference(uid, mid) for uid, mid in item.refs)
        draft = Draft(
            item.type,
            item.mid,
            item.body,
            state.head,
            prev,
            void,
            to_tell(tx, chat_id),
            expire_s=item.expire_s,
            refs=refs,
        )
        try:
            sealed = seal_message(
                session,
                draft,
                now_ms=self._me.clock.now_ms(),
                epoch=state.epoch,
                del_hash=delete_hash(delete_token(key, chat_id, item.mid)),
                ttl_bucket=ttl_bucket(item.expire_s),
            )
        except MessageTooLargeError:
            fail(tx, out, self._me, chat_id, item, Code.TOO_LARGE)
            return replace(item, failed=Code.TOO_LARGE.value)
        kept = Sealed(sealed.outer, session_id, sealed.index, state.epoch)
        tx.outbox.seal(chat_id, item.mid, kept)
        tx.outbound.advance(chat_id, session_id, sealed.session)
        ct_hash = hashlib.sha256(decode_outer(sealed.outer).ct).digest()
        tx.replays.note(chat_id, self._me.uid, item.mid, session_id, sealed.index, ct_hash)
        return replace(item, sealed=kept)


def fail(tx: Tx, out: Outcome, me: Me, chat_id: ChatId, item: OutboxItem, code: Code) -> None:
    """A message will not be sent by itself any more."""
    tx.outbox.fail(chat_id, item.mid, code)
    if item.type in WITHOUT_PLACE:
        take_back(tx, out, me, item, code)
        return
    change = tx.own_messages.set_state(chat_id, item.mid, me.uid, MessageState.FAILED, code)
    out.events.append(MessageStateChanged(change.message, change.previous_order))
    out.touched.add(chat_id)


def _sealed_prefix(items: Sequence[OutboxItem]) -> tuple[OutboxItem, ...]:
    return tuple(takewhile(lambda item: item.sealed is not None, items))
