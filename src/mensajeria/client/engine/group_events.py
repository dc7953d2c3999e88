"""The membership events of a group at work: signed, given to the server, fetched, judged, and whom they name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from mensajeria.client.engine.context import Context
from mensajeria.client.engine.directory import Directory
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.sending import Sending
from mensajeria.client.errors import InputError, RefusedError, StateError
from mensajeria.client.store import Tx
from mensajeria.client.store.values import MAX_SEQ
from mensajeria.protocol import limits
from mensajeria.protocol.decoding import decode_array
from mensajeria.protocol.encoding import MalformedError, NewerVersionError
from mensajeria.protocol.errors import Code
from mensajeria.protocol.frames import Event, EventKind
from mensajeria.protocol.ids import ChatId, Uid
from mensajeria.protocol.membership import Void, VoidReason, decode_member_event, judge
from mensajeria.protocol.membership_state import MembershipState
from mensajeria.protocol.records import MemberEvent, Signed

MAX_TRIES: Final = 5
LISTS_AT_ONCE: Final = 8
PATIENCE_S: Final = 10.0
"""How long a group that is announced may hold up what comes behind it."""
_REFUSALS: Final = {
    VoidReason.NOT_ALLOWED: "not_allowed_in_group",
    VoidReason.NOT_MEMBER: "not_a_member",
    VoidReason.TOO_MANY: "group_full",
    VoidReason.CLOSED: "group_superseded",
    VoidReason.WRONG_IDENTITY: "group_busy",  # the own identity has moved, and this group is not told yet
}
Make = Callable[[Tx, MembershipState], dict[str, object] | None]
"""The fields of an event that follows this state; None when it is not needed any more. May raise ClientError."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A signed event and its row in the log, as the server says."""

    signed: Signed
    row: int
    at_ms: int


class GroupEvents:
    """Over the chains of all groups. Methods raise ClientErrors."""

    def __init__(self, context: Context, directory: Directory, sending: Sending) -> None:
        self._context = context
        self._directory = directory
        self._sending = sending

    async def propose(self, chat_id: ChatId, make: Make) -> None:
        """Sign the next event and have the server take it; another one that comes first starts it over."""
        for _ in range(MAX_TRIES):
            signed = await self._context.store.run(lambda tx: self._sign(tx, chat_id, make))
            if signed is None:
                return
            try:
                stored = await self._context.rest.chats.append_event(chat_id, signed)
            except RefusedError as error:
                if error.code != Code.EVENT_CONFLICT:
                    raise
                await self.level(chat_id)
                continue
            placed = Placed(signed, min(stored.seq, MAX_SEQ), stored.ts)
            await self.learn(chat_id, [placed])
            await self._sending.level(chat_id)
            return
        raise StateError("group_busy")

    def _sign(self, tx: Tx, chat_id: ChatId, make: Make) -> Signed | None:
        if tx.groups.get(chat_id) is None:
            raise InputError("unknown_chat" if tx.chats.get(chat_id) is None else "not_a_group")
        state = self._context.memberships.of(tx, chat_id).now
        if not state.is_member(self._context.me.uid):
            raise StateError("not_a_member")
        fields = make(tx, state)
        if fields is None:
            return None
        event = self.event(tx, chat_id=chat_id, seq=state.seq + 1, prev=state.hash, **fields)
        signed = self._context.me.device(tx).member_event(event)
        verdict = judge(state, signed, self._context.memberships.lookup(tx))
        if isinstance(verdict, Void):
            raise StateError(_REFUSALS.get(verdict.reason, "not_allowed_in_group"), verdict.reason.value)
        return signed

    def event(self, tx: Tx, **fields: object) -> MemberEvent:
        """An event by this device; what else it carries is its type's."""
        me = self._context.me
        return MemberEvent(
            by_uid=me.uid,
            by_did=me.did,
            dl_ver=me.contact(tx).list_ver,
            ts=me.clock.now_ms(),
            **fields,  # type: ignore[arg-type]  # what each type carries is checked by the rule itself
        )

    # --- what the server has ---

    async def prepare(self, events: Iterable[Event]) -> None:
        """Before rows are shown: know the people whom membership events name. Waits a little only."""
        signed = [one for event in events if event.kind == EventKind.MEMBER for one in _signed_in(bytes(event.body))]
        if signed:
            try:
                async with asyncio.timeout(PATIENCE_S / 4):
                    await self.meet(people_in(Placed(one, 0, 0) for one in signed))
            except TimeoutError:
                self._context.lists_wanted.set()

    async def catch_up(self) -> None:
        """Fetch the membership events that somebody has referred to and that no row has brought."""
        due, self._context.chains_due = self._context.chains_due, set()
        for chat_id in due:
            await self.level(chat_id)

    async def level(self, chat_id: ChatId) -> None:
        """Bring the chat's membership events up to what the server has."""
        after = await self._context.store.read(
            lambda tx: None if tx.chats.get(chat_id) is None else self._context.memberships.of(tx, chat_id).now.seq
        )
        if after is not None:
            await self.learn(chat_id, await self.fetch(chat_id, after))

    async def learn(self, chat_id: ChatId, events: Sequence[Placed]) -> None:
        """Judge events that came beside the log; their rows show them when they come."""
        await self.meet(people_in(events))

        def step(tx: Tx, out: Outcome) -> None:
            for one in events:
                self._context.rows.members.learn(tx, out, chat_id, one.signed, one.row)
            self._context.rows.reopen_held(tx, out, chat_id)
            self._context.profiles.refresh(tx, out, chat_id)
            out.touched.add(chat_id)

        if events:
            await self._context.commit(step)

    async def fetch(self, chat_id: ChatId, after: int) -> list[Placed]:
        """The chain behind an event, as the server has it. Raises RefusedError, NetworkError."""
        found: list[Placed] = []
        async for page in self._context.rest.chats.events(chat_id, after):
            found += [Placed(Signed(one.event.body, one.event.sig), min(one.seq, MAX_SEQ), one.ts) for one in page]
        return found

    # --- people ---

    async def meet(self, uids: Collection[Uid]) -> None:
        """Fetch the lists of people who are not known yet. Who cannot be met stays a stranger."""
        await self.refresh(
            await self._context.store.read(lambda tx: [uid for uid in uids if tx.contacts.get(uid) is None])
        )

    async def refresh(self, uids: Collection[Uid]) -> None:
        """Fetch everybody's newest list, a few at a time. What was known of whom cannot be had stays."""
        gate = asyncio.Semaphore(LISTS_AT_ONCE)

        async def one(uid: Uid) -> None:
            async with gate:
                await self._directory.refresh_all([uid])

        await asyncio.gather(*map(one, uids))


def _signed_in(body: bytes) -> list[Signed]:
    try:
        return [decode_array(Signed, body, max_size=limits.MAX_FRAME)]
    except (MalformedError, NewerVersionError):
        return []


def people_in(events: Iterable[Placed]) -> set[Uid]:
    """Everybody whom events name: authors, and who comes in."""
    found: set[Uid] = set()
    for one in events:
        try:
            event = decode_member_event(one.signed.body)
        except (MalformedError, NewerVersionError):
            continue
        found.add(Uid(event.by_uid))
        found.update(Uid(member.uid) for member in event.members)
    return found
