"""Chosen history for a new member, by the device that adds them (docs/protocol/e2ee.md §10).

The choice is noted before the event is signed. When the event is in the chain, what is given is fixed, session by
session, and the group is told by a message. Keys leave once that message is in the log, so that nobody reads what the
others were not told of.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from mensajeria.client.api import HistoryChoice
from mensajeria.client.engine.letters import HISTORY_KEYS, Letter
from mensajeria.client.engine.me import Me
from mensajeria.client.engine.membership import Memberships
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.people import list_of
from mensajeria.client.engine.withheld import withheld_letters
from mensajeria.client.errors import ClientError
from mensajeria.client.store import Tx
from mensajeria.client.store.history import Grant, HistoryShare, Owed
from mensajeria.client.store.key_values import InboundKey
from mensajeria.crypto.inbound import InboundSession
from mensajeria.kit.ids import random16
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.ids import ChatId, Did, Mid, Uid
from mensajeria.protocol.membership import decode_member_event
from mensajeria.protocol.records_healing import ForwardedKey
from mensajeria.protocol.records_history import HISTORY, KEYS_AT_ONCE, HistoryBody, HistoryKeys

if TYPE_CHECKING:
    from mensajeria.client.engine.context import Context

_log = logging.getLogger(__name__)
AGAIN_S: Final = 30.0
DAY_MS: Final = 24 * 3600 * 1000
SPANS_MS: Final = {HistoryChoice.DAY: DAY_MS, HistoryChoice.WEEK: 7 * DAY_MS}
FORGET_MS: Final = DAY_MS
"""A choice whose event never came into the chain."""
PUSHED_AT_MOST: Final = 2000
"""Sessions that are sent to a new member without being asked; the mailbox has bounds, older ones are asked for."""


class Giver:
    """Runs in the store's thread, inside transactions."""

    def __init__(self, me: Me, memberships: Memberships) -> None:
        self._me = me
        self._memberships = memberships

    def want(self, tx: Tx, chat_id: ChatId, uids: Sequence[Uid], choice: HistoryChoice) -> None:
        """Note what the people who are about to be added shall get."""
        if choice is not HistoryChoice.NOTHING:
            after = self._memberships.of(tx, chat_id).now.seq
            tx.grants.want(chat_id, uids, choice.value, after, self._me.clock.now_ms())

    def forget(self, tx: Tx, chat_id: ChatId, uids: Sequence[Uid]) -> None:
        """They were not added."""
        for grant in tx.grants.wanted():
            if (grant.chat_id, grant.uids) == (chat_id, tuple(uids)):
                tx.grants.drop(grant.id)

    def settle(self, tx: Tx, out: Outcome) -> list[ChatId]:
        """Fix and queue what is due: for people whose `add` event is in the chain. The chats with something to send."""
        told = [grant.chat_id for grant in tx.grants.wanted() if self._settle(tx, grant)]
        out.touched.update(told)
        return told

    def _settle(self, tx: Tx, grant: Grant) -> bool:
        joined = self._joined(tx, grant)
        if joined is None:
            if self._me.clock.now_ms() - grant.at_ms > FORGET_MS:
                tx.grants.drop(grant.id)
            return False
        seq, row = joined
        choice = HistoryChoice(grant.choice)
        since_ms = grant.at_ms - SPANS_MS[choice] if choice in SPANS_MS else 0
        starts = tx.grants.starts(grant.chat_id, before=row, since_ms=since_ms)
        shares = [(stored.key, one.idx) for one in starts for stored in tx.inbound.find(grant.chat_id, one.session_id)]
        if not shares:
            tx.grants.drop(grant.id)
            return False
        mid, body = Mid(random16()), HistoryBody(choice=grant.choice, add=seq, since=min(one.seq for one in starts))
        tx.grants.settle(grant, seq, mid, shares)
        tx.outbox.add(grant.chat_id, mid, HISTORY, encode(body), self._me.clock.now_ms())
        return True

    def _joined(self, tx: Tx, grant: Grant) -> tuple[int, int] | None:
        """The event of this device that added exactly these people, and its row in the log."""
        for row in tx.chats.member_events(grant.chat_id):
            if row.seq <= grant.after_seq or not row.chat_seq:
                continue
            event = decode_member_event(row.body)
            by_me = (event.by_uid, event.by_did) == (self._me.uid, self._me.did)
            if event.type == "add" and by_me and {one.uid for one in event.members} == set(grant.uids):
                return row.seq, row.chat_seq
        return None

    # --- handing out ---

    def letters(self, tx: Tx, owed: Owed) -> list[Letter]:
        """The next keys for somebody's devices; noted as sent. None when they are not in under that event any more."""
        shares = tx.grants.shares(owed.grant_id, owed.pushed, KEYS_AT_ONCE)
        theirs = list_of(tx, owed.uid)
        done = len(shares) < KEYS_AT_ONCE or self._is_enough(tx, owed, shares)
        if theirs is None or not self.is_entitled(tx, owed.chat_id, owed.uid, owed.joined):
            tx.grants.pushed(owed, owed.pushed, done=True)
            return []
        tx.grants.pushed(owed, shares[-1].position if shares else owed.pushed, done=done)
        dids = [Did(device.did) for device in theirs.list.devices]
        return [letter for did in dids for letter in self._packed(tx, owed.uid, did, shares)]

    def answer(self, tx: Tx, uid: Uid, did: Did, key: InboundKey) -> tuple[list[Letter], int | None]:
        """For a member who asks for one session: that one and the next ones, and from where that one is given."""
        joined = self._memberships.of(tx, key.chat_id).joined(uid)
        if joined is None:
            return [], None
        shares = tx.grants.given(key.chat_id, uid, joined, key.session_id, KEYS_AT_ONCE)
        if not shares or shares[0].key != key:
            return [], None
        return list(self._packed(tx, uid, did, shares)), shares[0].idx

    def is_entitled(self, tx: Tx, chat_id: ChatId, uid: Uid, joined: int) -> bool:
        """Whether somebody is still in since that very event, under the identity that the group knows."""
        chain, contact = self._memberships.of(tx, chat_id), tx.contacts.get(uid)
        if chain.joined(uid) != joined or contact is None or contact.sending_blocked:
            return False
        return chain.now.members[uid].idfp == contact.idfp

    @staticmethod
    def _is_enough(tx: Tx, owed: Owed, shares: Sequence[HistoryShare]) -> bool:
        first = tx.grants.shares(owed.grant_id, 0, 1)
        return bool(shares) and bool(first) and shares[-1].position - first[0].position + 1 >= PUSHED_AT_MOST

    @staticmethod
    def _packed(tx: Tx, uid: Uid, did: Did, shares: Sequence[HistoryShare]) -> Iterator[Letter]:
        keys: list[ForwardedKey] = []
        for share in shares:
            stored = tx.inbound.get(share.key)
            if stored is None:
                continue
            session = InboundSession.load(stored.state)
            start = max(share.idx, session.proven_from)
            export = session.export_at(start)
            if export is not None:
                keys.append(ForwardedKey(skb=session.signed_binding, export=export, first_index=start))
        if keys:
            yield Letter(uid, did, HISTORY_KEYS, encode(HistoryKeys(chat_id=shares[0].key.chat_id, keys=tuple(keys))))


async def push_owed(
    context: Context, deliver: Callable[[list[Letter]], Awaitable[object]], settle: Callable[[], Awaitable[None]]
) -> None:
    """Beside a connection: what was chosen before a crash is settled, and everybody is sent the keys they are owed."""
    while True:
        context.giving_due.clear()
        try:
            await settle()
            withheld = await context.store.run(lambda tx: withheld_letters(tx, context.me, context.memberships))
            if withheld:
                await deliver(withheld)
            while people := await context.store.read(lambda tx: tx.grants.owed()):
                for one in people:
                    letters = await context.store.run(lambda tx: context.giver.letters(tx, one))  # noqa: B023
                    if letters:
                        await deliver(letters)
        except ClientError as error:  # what was not sent is asked for
            _log.info("earlier keys wait: %s", error.code)
            await asyncio.sleep(AGAIN_S)
            continue
        await context.giving_due.wait()
