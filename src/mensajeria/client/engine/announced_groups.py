"""Groups that the server announces, and those that it does not name any more: only their signed events are believed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Iterator, Sequence

from mensajeria.client.engine.context import Context
from mensajeria.client.engine.directory import Directory
from mensajeria.client.engine.group_events import PATIENCE_S, GroupEvents, Placed, people_in
from mensajeria.client.engine.identity_moves import is_known_in
from mensajeria.client.engine.membership import verify_chain
from mensajeria.client.engine.notices import note_event
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.errors import ClientError, RefusedError
from mensajeria.client.store import Tx
from mensajeria.protocol.encoding import MalformedError, NewerVersionError
from mensajeria.protocol.errors import Code
from mensajeria.protocol.ids import ChatId, Uid
from mensajeria.protocol.membership import decode_member_event, event_hash

_log = logging.getLogger(__name__)


class AnnouncedGroups:
    """Opens and closes groups on the server's word, as far as their chains bear it out."""

    def __init__(self, context: Context, directory: Directory, events: GroupEvents) -> None:
        self._context = context
        self._directory = directory
        self._events = events

    async def announced(self, chat_id: ChatId, *, accepted: bool) -> bool:
        """The server says that one is in this group: believed if its events say so. Whether it was (re)opened here."""

        def known(tx: Tx, out: Outcome) -> bool:
            chat = tx.chats.get(chat_id)
            if chat is None or not self._context.memberships.is_member(tx, chat_id, self._context.me.uid):
                return False
            if accepted and not chat.accepted and self._context.marks.answer(tx, chat_id) is not False:
                tx.chats.set_accepted(chat_id, accepted=True)
                out.touched.add(chat_id)
            return True

        if await self._context.commit(known):
            return False
        try:
            async with asyncio.timeout(PATIENCE_S):
                events = await self._events.fetch(chat_id, 0)
                await self._events.meet(people_in(events))
                await self._know_former(events)
        except (TimeoutError, ClientError) as error:
            _log.warning("an announced group could not be read: %s", type(error).__name__)
            return False
        return await self._context.commit(lambda tx, out: self.open(tx, out, chat_id, events, accepted=accepted))

    async def unlisted(self, listed: Collection[ChatId]) -> None:
        """Groups that the server does not name any more: somebody may have removed one while one was away.

        Only the signed event is believed; a server that has none to show is told on.
        """
        for chat_id in await self._context.store.read(lambda tx: set(tx.groups.joined()) - set(listed)):
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await self._ended(chat_id)
            except RefusedError as error:
                if error.code == Code.UNKNOWN_CHAT:
                    await self._context.commit(lambda tx, out: self._hidden(tx, out, chat_id))  # noqa: B023
            except (TimeoutError, ClientError) as error:
                _log.info("an unlisted group could not be read: %s", type(error).__name__)

    async def _ended(self, chat_id: ChatId) -> None:
        after = await self._context.store.read(lambda tx: self._context.memberships.of(tx, chat_id).now.seq)
        events = await self._events.fetch(chat_id, after)
        await self._events.learn(chat_id, events)

        def tell(tx: Tx, out: Outcome) -> None:
            if self._context.memberships.is_member(tx, chat_id, self._context.me.uid):
                self._hidden(tx, out, chat_id)
                return
            last = self._context.memberships.of(tx, chat_id).now
            for one in events:
                event = decode_member_event(one.signed.body)
                if event_hash(one.signed.body) == last.hash:
                    note_event(tx, out, chat_id, event, one.row, one.at_ms)

        await self._context.commit(tell)

    def _hidden(self, tx: Tx, out: Outcome, chat_id: ChatId) -> None:
        """Said once for each group."""
        if not tx.meta.number(f"hidden:{chat_id.hex()}"):
            tx.meta.raise_to(f"hidden:{chat_id.hex()}", 1)
            out.warn(tx, "group_hidden", self._context.me.clock.now_ms(), chat_id)

    def _once(self, tx: Tx, out: Outcome, code: str, chat_id: ChatId) -> None:
        """Said once for each group and what its chain says."""
        name = f"{code}:{chat_id.hex()}"
        if not tx.meta.number(name):
            tx.meta.raise_to(name, 1)
            out.warn(tx, code, self._context.me.clock.now_ms())

    def open(self, tx: Tx, out: Outcome, chat_id: ChatId, events: Sequence[Placed], *, accepted: bool) -> bool:
        """Store an announced group if its chain verifies from the create event on and says that one is in it."""
        me, now = self._context.me.uid, self._context.me.clock.now_ms()
        memberships = self._context.memberships
        found = verify_chain(chat_id, [(one.signed, one.row) for one in events], memberships.lookup(tx))
        joined = None if found is None else found[1].joined(me)
        if found is None or joined is None or not memberships.continues(tx, chat_id, found[1]):
            out.warn(tx, "chain_refused", now, chat_id)
            return False
        valid, chain = found
        if not is_known_in(tx, self._context.me, chain.now):
            self._once(tx, out, "group_former_identity", chat_id)
            return False
        tx.chats.ensure_group(chat_id, accepted=accepted, now_ms=now)
        memberships.start_group(tx, chat_id, chain, valid)
        self._context.marks.chat_met(tx, out, chat_id)
        row = chain.row_of(joined)
        chat = tx.chats.get(chat_id)
        assert chat is not None
        # Rows from while one was out have a place at most ("before you joined"): a window may fill it.
        tx.groups.set_joined(chat_id, row, min(chat.cursor, chain.out_since(me, joined)) + 1)
        if row - 1 > chat.cursor:
            tx.chats.advance_cursor(chat_id, row - 1)
        self._context.envelopes.open_early(tx, out, chat_id)
        self._context.profiles.refresh(tx, out, chat_id)
        out.touched.add(chat_id)
        return True

    async def _know_former(self, events: Sequence[Placed]) -> None:
        """Whom the chain names by another identity than the one of now: fetch the lists by which it is judged."""
        named = list(_identities_in(events))

        def moved(tx: Tx) -> set[Uid]:
            known = {uid: tx.contacts.get(uid) for uid, _ in named}
            return {uid for uid, idfp in named if (contact := known[uid]) is not None and contact.idfp != idfp}

        for uid in await self._context.store.read(moved):
            await self._directory.fetch_former(uid)


def _identities_in(events: Iterable[Placed]) -> Iterator[tuple[Uid, bytes]]:
    """Under which identities a chain names people."""
    for one in events:
        try:
            event = decode_member_event(one.signed.body)
        except (MalformedError, NewerVersionError):
            continue
        yield from ((Uid(member.uid), member.idfp) for member in event.members)
        if event.idfp:
            yield Uid(event.by_uid), event.idfp
