"""Groups at work: making and changing them, believing those that are announced, catching up with their events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from mensajeria.client.api import HistoryChoice
from mensajeria.client.engine.context import Context
from mensajeria.client.engine.directory import Directory
from mensajeria.client.engine.identity_moves import is_known_in
from mensajeria.client.engine.membership import verify_chain
from mensajeria.client.engine.new_chats import timer_for_new
from mensajeria.client.engine.notices import note_event
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.sending import Sending
from mensajeria.client.errors import ClientError, InputError, NetworkError, RefusedError, StateError
from mensajeria.client.store import Tx
from mensajeria.client.store.values import MAX_SEQ, Contact
from mensajeria.crypto.group_profile import new_profile_key
from mensajeria.kit.ids import random16
from mensajeria.protocol import limits
from mensajeria.protocol.decoding import decode_array
from mensajeria.protocol.encoding import MalformedError, NewerVersionError
from mensajeria.protocol.errors import Code
from mensajeria.protocol.frames import Event, EventKind
from mensajeria.protocol.ids import ChatId, Uid
from mensajeria.protocol.membership import (
    Void,
    VoidReason,
    decode_member_event,
    event_hash,
    group_chat_id,
    judge,
)
from mensajeria.protocol.membership_state import MembershipState, Role
from mensajeria.protocol.records import Member, MemberEvent, Signed
from mensajeria.protocol.records_groups import GroupProfile

_log = logging.getLogger(__name__)
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


class GroupKeeper:
    """What a client does with groups. Methods raise ClientErrors."""

    def __init__(self, context: Context, directory: Directory, sending: Sending) -> None:
        self._context = context
        self._directory = directory
        self._sending = sending
        self.leaves_due = asyncio.Event()

    # --- what a person does ---

    async def create(
        self, name: str, handles: Sequence[str], *, description: str = "", supersedes: ChatId | None = None
    ) -> ChatId:
        """Make a group with these people and give it its name."""
        profile = _profile(name, description)
        others = await self._people(handles)
        members: dict[Uid, tuple[bytes, Role]] = {one.uid: (one.idfp, Role.MEMBER) for one in others}
        timer_s = await self._context.store.read(timer_for_new)
        return await self._create(profile, members, supersedes, timer_s)

    async def recreate(self, former: ChatId) -> ChatId:
        """The way out of a forked group: the same people and name in a new one, owned by oneself."""

        def read(tx: Tx) -> tuple[GroupProfile, dict[Uid, tuple[bytes, Role]], int]:
            group = tx.groups.get(former)
            if group is None:
                raise InputError("not_a_group")
            if not group.role:
                raise StateError("not_a_member")
            state = self._context.memberships.of(tx, former).now
            rows = [row for row in state.members.values() if row.uid != self._context.me.uid]
            kept = {Uid(row.uid): (row.idfp, Role.MEMBER if row.role is Role.MEMBER else Role.ADMIN) for row in rows}
            name = group.name or former.hex()[:8]
            profile = GroupProfile(name=name, description=group.description, picture=tx.groups.picture(former))
            return profile, kept, state.timer_s

        profile, members, timer_s = await self._context.store.read(read)
        made = await self._create(profile, members, former, timer_s)
        try:
            await self._propose(former, lambda _tx, _state: {"type": "supersede", "supersedes": made})
        except ClientError as error:  # only its owner can close the former one for everybody
            _log.info("the former group stays open for others: %s", error.code)
        return made

    async def add(
        self, chat_id: ChatId, handles: Sequence[str], history: HistoryChoice = HistoryChoice.NOTHING
    ) -> None:
        """Add people. They get the keys of what is written from now on, the name, and of the past what was chosen."""
        people = await self._people(handles)
        uids = [one.uid for one in people]

        def make(_tx: Tx, state: MembershipState) -> dict[str, object]:
            for contact in people:
                if state.is_member(contact.uid):
                    raise InputError("already_member", params={"handle": contact.handle})
            members = [Member(uid=one.uid, idfp=one.idfp, role=Role.MEMBER.value) for one in people]
            return {"type": "add", "members": tuple(sorted(members, key=lambda member: member.uid))}

        await self._context.commit(lambda tx, _: self._want_history(tx, chat_id, uids, history))
        try:
            await self._propose(chat_id, make)
        except NetworkError:
            raise  # the server may have taken it: what was chosen holds then
        except ClientError:
            await self._context.commit(lambda tx, _: self._context.giver.forget(tx, chat_id, uids))
            raise
        await self._introduce(chat_id)
        await self.give_history()

    async def give_history(self) -> None:
        """Fix and tell what new members may read, where it was chosen and their event has come."""
        for chat_id in await self._context.commit(self._context.giver.settle):
            self._sending.wake(chat_id)

    def _want_history(self, tx: Tx, chat_id: ChatId, uids: Sequence[Uid], history: HistoryChoice) -> None:
        if tx.groups.get(chat_id) is None:
            raise InputError("unknown_chat" if tx.chats.get(chat_id) is None else "not_a_group")
        self._context.giver.want(tx, chat_id, uids, history)

    async def remove(self, chat_id: ChatId, handle: str) -> None:
        """Remove a member: they get no row and no key any more, and the name goes under a new key."""
        uid = await self._member(chat_id, handle)

        def make(_tx: Tx, state: MembershipState) -> dict[str, object]:
            if not state.is_member(uid):
                raise InputError("no_such_member", params={"handle": handle})
            return {"type": "remove", "who": uid}

        await self._propose(chat_id, make)
        await self._reseal(chat_id)
        await self._introduce(chat_id)

    async def set_role(self, chat_id: ChatId, handle: str, role: Role) -> None:
        """Give a member another role; `owner` hands the group over."""
        uid = await self._member(chat_id, handle)

        def make(_tx: Tx, state: MembershipState) -> dict[str, object] | None:
            if not state.is_member(uid):
                raise InputError("no_such_member", params={"handle": handle})
            return None if state.role(uid) is role else {"type": "role", "who": uid, "role": role.value}

        await self._propose(chat_id, make)

    async def rename(
        self, chat_id: ChatId, name: str | None, description: str | None, picture: bytes | None = None
    ) -> None:
        """Give the group another name, description or picture (empty: none)."""

        def wished(tx: Tx) -> GroupProfile:
            group = tx.groups.get(chat_id)
            if group is None:
                raise InputError("not_a_group")
            return _profile(
                group.name if name is None else name,
                group.description if description is None else description,
                tx.groups.picture(chat_id) if picture is None else picture,
            )

        profile = await self._context.store.read(wished)
        await self._post_profile(chat_id, profile, new_key=False)
        await self._introduce(chat_id)

    async def set_timer(self, chat_id: ChatId, seconds: int) -> None:
        """What is written from now on disappears so long after it was read; 0 = never. For owners and admins."""
        if not 0 <= seconds <= limits.MAX_TIMER_S:
            raise InputError("timer_invalid")

        def make(_tx: Tx, state: MembershipState) -> dict[str, object] | None:
            return None if state.timer_s == seconds else {"type": "timer", "timer_s": seconds}

        await self._propose(chat_id, make)

    async def leave(self, chat_id: ChatId) -> None:
        """Leave. Nothing is sent from now on, even if the server does not take it yet: that is tried again."""

        def stop(tx: Tx, out: Outcome) -> None:
            group = tx.groups.get(chat_id)
            if group is None:
                raise InputError("not_a_group")
            if not group.role or group.leaving:
                raise StateError("not_a_member")
            state = self._context.memberships.of(tx, chat_id).now
            if state.role(self._context.me.uid) is Role.OWNER and len(state.members) > 1:
                raise StateError("owner_stays")
            tx.groups.set_leaving(chat_id, leaving=True)
            out.touched.add(chat_id)

        await self._context.commit(stop)
        try:
            await self._leave(chat_id)
        except (NetworkError, RefusedError, StateError) as error:
            _log.info("leaving waits: %s", error.code)
            self.leaves_due.set()

    async def leave_pending(self) -> None:
        """Leave what was left and the server has not taken. Called again and again while there is a connection."""
        for chat_id in await self._context.store.read(lambda tx: tx.groups.leaving()):
            try:
                await self._leave(chat_id)
            except (RefusedError, StateError) as error:
                _log.info("leaving waits: %s", error.code)

    async def _leave(self, chat_id: ChatId) -> None:
        me = self._context.me.uid

        def make(_tx: Tx, state: MembershipState) -> dict[str, object] | None:
            return {"type": "leave", "who": me} if state.is_member(me) else None

        await self._propose(chat_id, make)

    # --- announced groups ---

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
                events = await self._fetch(chat_id, 0)
                await self._meet(_people_in(events))
                await self._know_former(events)
        except (TimeoutError, ClientError) as error:
            _log.warning("an announced group could not be read: %s", type(error).__name__)
            return False
        return await self._context.commit(lambda tx, out: self._open(tx, out, chat_id, events, accepted=accepted))

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
        events = await self._fetch(chat_id, after)
        await self._learn(chat_id, events)

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

    async def prepare(self, events: Iterable[Event]) -> None:
        """Before rows are shown: know the people whom membership events name. Waits a little only."""
        signed = [one for event in events if event.kind == EventKind.MEMBER for one in _signed_in(bytes(event.body))]
        if signed:
            try:
                async with asyncio.timeout(PATIENCE_S / 4):
                    await self._meet(_people_in(Placed(one, 0, 0) for one in signed))
            except TimeoutError:
                self._context.lists_wanted.set()

    async def catch_up(self) -> None:
        """Fetch the membership events that somebody has referred to and that no row has brought."""
        due, self._context.chains_due = self._context.chains_due, set()
        for chat_id in due:
            await self._level(chat_id)

    def _open(self, tx: Tx, out: Outcome, chat_id: ChatId, events: Sequence[Placed], *, accepted: bool) -> bool:
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

    # --- events ---

    async def _create(
        self, profile: GroupProfile, members: dict[Uid, tuple[bytes, Role]], supersedes: ChatId | None, timer_s: int
    ) -> ChatId:
        me = self._context.me
        if len(members) + 1 > limits.MAX_EVENT_MEMBERS:
            raise InputError("group_full")

        def sign(tx: Tx) -> Signed:
            named = [Member(uid=uid, idfp=idfp, role=role.value) for uid, (idfp, role) in members.items()]
            named.append(Member(uid=me.uid, idfp=me.contact(tx).idfp, role=Role.OWNER.value))
            event = self._event(
                tx,
                chat_id=bytes(32),
                seq=1,
                prev=bytes(32),
                type="create",
                members=tuple(sorted(named, key=lambda member: member.uid)),
                nonce=random16(),
                timer_s=timer_s,
                supersedes=supersedes or b"",
            )
            return me.device(tx).member_event(event)

        signed = await self._context.store.read(sign)
        stored = await self._context.rest.create_group(signed)
        chat_id = ChatId(group_chat_id(signed.body))
        placed = [Placed(signed, min(stored.seq, MAX_SEQ), stored.ts)]
        await self._context.commit(lambda tx, out: self._open(tx, out, chat_id, placed, accepted=True))
        await self._sending.level(chat_id)
        await self._post_profile(chat_id, profile, new_key=True)
        await self._introduce(chat_id)
        return chat_id

    async def _post_profile(self, chat_id: ChatId, profile: GroupProfile, *, new_key: bool) -> None:
        """Seal and post a name. A new key is kept only with the event that it is for: another key opens nothing."""
        key = new_profile_key() if new_key else None

        def prepare(tx: Tx, _out: Outcome) -> None:
            if key is not None:
                tx.groups.add_key(chat_id, key)

        def make(tx: Tx, state: MembershipState) -> dict[str, object]:
            ver = state.profile_ver + 1
            return {
                "type": "profile",
                "profile_ver": ver,
                "profile": self._context.profiles.seal(tx, chat_id, profile, ver, key),
            }

        await self._context.commit(prepare)
        await self._propose(chat_id, make)

    async def _reseal(self, chat_id: ChatId) -> None:
        """Somebody is gone: the name goes under a key that they never had."""

        def read(tx: Tx) -> GroupProfile | None:
            group = tx.groups.get(chat_id)
            if group is None or not group.name:
                return None
            picture = tx.groups.picture(chat_id)
            return GroupProfile(name=group.name, description=group.description, picture=picture)

        profile = await self._context.store.read(read)
        if profile is not None:
            await self._post_profile(chat_id, profile, new_key=True)

    async def _propose(self, chat_id: ChatId, make: Make) -> None:
        """Sign the next event and have the server take it; another one that comes first starts it over."""
        for _ in range(MAX_TRIES):
            signed = await self._context.store.run(lambda tx: self._sign(tx, chat_id, make))
            if signed is None:
                return
            try:
                stored = await self._context.rest.append_member_event(chat_id, signed)
            except RefusedError as error:
                if error.code != Code.EVENT_CONFLICT:
                    raise
                await self._level(chat_id)
                continue
            placed = Placed(signed, min(stored.seq, MAX_SEQ), stored.ts)
            await self._learn(chat_id, [placed])
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
        event = self._event(tx, chat_id=chat_id, seq=state.seq + 1, prev=state.hash, **fields)
        signed = self._context.me.device(tx).member_event(event)
        verdict = judge(state, signed, self._context.memberships.lookup(tx))
        if isinstance(verdict, Void):
            raise StateError(_REFUSALS.get(verdict.reason, "not_allowed_in_group"), verdict.reason.value)
        return signed

    def _event(self, tx: Tx, **fields: object) -> MemberEvent:
        me = self._context.me
        return MemberEvent(
            by_uid=me.uid,
            by_did=me.did,
            dl_ver=me.contact(tx).list_ver,
            ts=me.clock.now_ms(),
            **fields,  # type: ignore[arg-type]  # what each type carries is checked by the rule itself
        )

    async def _level(self, chat_id: ChatId) -> None:
        """Bring the chat's membership events up to what the server has."""
        after = await self._context.store.read(
            lambda tx: None if tx.chats.get(chat_id) is None else self._context.memberships.of(tx, chat_id).now.seq
        )
        if after is not None:
            await self._learn(chat_id, await self._fetch(chat_id, after))

    async def _learn(self, chat_id: ChatId, events: Sequence[Placed]) -> None:
        """Judge events that came beside the log; their rows show them when they come."""
        await self._meet(_people_in(events))

        def step(tx: Tx, out: Outcome) -> None:
            for one in events:
                self._context.rows.members.learn(tx, out, chat_id, one.signed, one.row)
            self._context.rows.reopen_held(tx, out, chat_id)
            self._context.profiles.refresh(tx, out, chat_id)
            out.touched.add(chat_id)

        if events:
            await self._context.commit(step)

    async def _fetch(self, chat_id: ChatId, after: int) -> list[Placed]:
        found: list[Placed] = []
        async for page in self._context.rest.member_events(chat_id, after):
            found += [Placed(Signed(one.event.body, one.event.sig), min(one.seq, MAX_SEQ), one.ts) for one in page]
        return found

    # --- people ---

    async def _people(self, handles: Sequence[str]) -> list[Contact]:
        """The users with these names, without oneself. Raises RefusedError (unknown_user)."""
        me = self._context.me
        wanted = list(dict.fromkeys(handle for handle in handles if handle != me.handle))
        if len(wanted) > limits.MAX_EVENT_MEMBERS:
            raise InputError("group_full")
        return [await self._directory.by_handle(handle) for handle in wanted]

    async def _member(self, chat_id: ChatId, handle: str) -> Uid:
        def find(tx: Tx) -> Uid:
            if tx.groups.get(chat_id) is None:
                raise InputError("unknown_chat" if tx.chats.get(chat_id) is None else "not_a_group")
            for member in tx.groups.members(chat_id):
                if tx.contacts.person(member.uid).handle == handle:
                    return member.uid
            raise InputError("no_such_member", params={"handle": handle})

        return await self._context.store.read(find)

    async def _meet(self, uids: Collection[Uid]) -> None:
        """Fetch the lists of people who are not known yet. Who cannot be met stays a stranger."""
        strangers = await self._context.store.read(lambda tx: [uid for uid in uids if tx.contacts.get(uid) is None])
        gate = asyncio.Semaphore(LISTS_AT_ONCE)

        async def meet(uid: Uid) -> None:
            async with gate:
                await self._directory.refresh_all([uid])

        await asyncio.gather(*map(meet, strangers))

    async def _know_former(self, events: Sequence[Placed]) -> None:
        """Whom the chain names by another identity than the one of now: fetch the lists by which it is judged."""
        named = list(_identities_in(events))

        def moved(tx: Tx) -> set[Uid]:
            known = {uid: tx.contacts.get(uid) for uid, _ in named}
            return {uid for uid, idfp in named if (contact := known[uid]) is not None and contact.idfp != idfp}

        for uid in await self._context.store.read(moved):
            await self._directory.fetch_former(uid)

    async def _introduce(self, chat_id: ChatId) -> None:
        """The change is made; if the keys cannot be given now, they go with the next message."""
        try:
            await self._sending.introduce(chat_id)
        except ClientError as error:
            _log.info("keys wait for the next message: %s", error.code)


def _profile(name: str, description: str, picture: bytes = b"") -> GroupProfile:
    name, description = name.strip(), description.strip()
    if not 1 <= len(name) <= limits.GROUP_NAME_CHARS or len(description) > limits.GROUP_DESCRIPTION_CHARS:
        raise InputError("name_invalid")
    return GroupProfile(name=name, description=description, picture=picture)


def _signed_in(body: bytes) -> list[Signed]:
    try:
        return [decode_array(Signed, body, max_size=limits.MAX_FRAME)]
    except (MalformedError, NewerVersionError):
        return []


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


def _people_in(events: Iterable[Placed]) -> set[Uid]:
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
