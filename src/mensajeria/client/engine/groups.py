"""Groups as people use them: making and changing them, leaving them, and a way out of those that cannot go on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from mensajeria.client.api import HistoryChoice
from mensajeria.client.engine.announced_groups import AnnouncedGroups
from mensajeria.client.engine.context import Context
from mensajeria.client.engine.directory import Directory
from mensajeria.client.engine.group_events import GroupEvents, Placed
from mensajeria.client.engine.identity_moves import show_changed_members
from mensajeria.client.engine.new_chats import timer_for_new
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.sending import Sending
from mensajeria.client.errors import ClientError, InputError, NetworkError, RefusedError, StateError
from mensajeria.client.store import Tx
from mensajeria.client.store.values import MAX_SEQ, Contact
from mensajeria.crypto.group_profile import new_profile_key
from mensajeria.kit.ids import random16
from mensajeria.protocol import limits
from mensajeria.protocol.ids import ChatId, Uid
from mensajeria.protocol.membership import group_chat_id
from mensajeria.protocol.membership_state import MembershipState, Role, Row
from mensajeria.protocol.records import Member, Signed
from mensajeria.protocol.records_groups import GroupProfile

_log = logging.getLogger(__name__)


class GroupKeeper:
    """What a client does with groups. Methods raise ClientErrors."""

    def __init__(self, context: Context, directory: Directory, sending: Sending) -> None:
        self._context = context
        self._directory = directory
        self._sending = sending
        self.events = GroupEvents(context, directory, sending)
        self.announcements = AnnouncedGroups(context, directory, self.events)
        self.leaves_due = asyncio.Event()

    # --- making one ---

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
        """The way out of a group that cannot go on: its people and name in a new one, owned by oneself.

        Everybody is named by the identity of now, as far as it can be had: else who began anew could never come in.
        If somebody has made it already, it is that one; of several that were made at once, the one with the lowest id.
        """
        there = await self._context.store.read(lambda tx: self._following(tx, former))
        if there is not None:
            return there
        others = await self._context.store.read(lambda tx: self._others(tx, former))
        await self.events.refresh([Uid(row.uid) for row in others])
        profile, members, timer_s = await self._context.store.read(lambda tx: self._what_was(tx, former))
        made = await self._create(profile, members, former, timer_s)
        try:
            await self.events.propose(former, lambda _tx, _state: {"type": "supersede", "supersedes": made})
        except ClientError as error:  # only its owner can close the former one for everybody
            _log.info("the former group stays open for others: %s", error.code)
        return made

    @staticmethod
    def _following(tx: Tx, former: ChatId) -> ChatId | None:
        groups = [tx.groups.get(chat_id) for chat_id in tx.groups.following(former)]
        return next((group.chat_id for group in groups if group is not None and group.is_writable), None)

    def _others(self, tx: Tx, former: ChatId) -> list[Row]:
        group = tx.groups.get(former)
        if group is None:
            raise InputError("unknown_chat" if tx.chats.get(former) is None else "not_a_group")
        if not group.role:
            raise StateError("not_a_member")
        members = self._context.memberships.of(tx, former).now.members.values()
        return [row for row in members if row.uid != self._context.me.uid]

    def _what_was(self, tx: Tx, former: ChatId) -> tuple[GroupProfile, dict[Uid, tuple[bytes, Role]], int]:
        """Name, people and timer of a former group. Rights are an identity's: another one comes in as a member."""
        members: dict[Uid, tuple[bytes, Role]] = {}
        for row in self._others(tx, former):
            contact = tx.contacts.get(Uid(row.uid))
            if contact is None:
                members[Uid(row.uid)] = row.idfp, Role.MEMBER
            elif not tx.contacts.is_gone(contact.uid):
                leads = row.role is not Role.MEMBER and contact.idfp == row.idfp
                members[contact.uid] = contact.idfp, Role.ADMIN if leads else Role.MEMBER
        group = tx.groups.get(former)
        assert group is not None
        name, picture = group.name or former.hex()[:8], tx.groups.picture(former)
        profile = GroupProfile(name=name, description=group.description, picture=picture)
        return profile, members, self._context.memberships.of(tx, former).now.timer_s

    async def _create(
        self, profile: GroupProfile, members: dict[Uid, tuple[bytes, Role]], supersedes: ChatId | None, timer_s: int
    ) -> ChatId:
        me = self._context.me
        if len(members) + 1 > limits.MAX_EVENT_MEMBERS:
            raise InputError("group_full")

        def sign(tx: Tx) -> Signed:
            named = [Member(uid=uid, idfp=idfp, role=role.value) for uid, (idfp, role) in members.items()]
            named.append(Member(uid=me.uid, idfp=me.contact(tx).idfp, role=Role.OWNER.value))
            event = self.events.event(
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
        stored = await self._context.rest.chats.create_group(signed)
        chat_id = ChatId(group_chat_id(signed.body))
        placed = [Placed(signed, min(stored.seq, MAX_SEQ), stored.ts)]

        def begin(tx: Tx, out: Outcome) -> None:
            self.announcements.open(tx, out, chat_id, placed, accepted=True)
            show_changed_members(tx, out, me, chat_id, members)

        await self._context.commit(begin)
        await self._sending.level(chat_id)
        await self._post_profile(chat_id, profile, new_key=True)
        await self._introduce(chat_id)
        return chat_id

    # --- people in it ---

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
            await self.events.propose(chat_id, make)
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

        await self.events.propose(chat_id, make)
        await self._reseal(chat_id)
        await self._introduce(chat_id)

    async def set_role(self, chat_id: ChatId, handle: str, role: Role) -> None:
        """Give a member another role; `owner` hands the group over."""
        uid = await self._member(chat_id, handle)

        def make(_tx: Tx, state: MembershipState) -> dict[str, object] | None:
            if not state.is_member(uid):
                raise InputError("no_such_member", params={"handle": handle})
            return None if state.role(uid) is role else {"type": "role", "who": uid, "role": role.value}

        await self.events.propose(chat_id, make)

    # --- name and timer ---

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

        await self.events.propose(chat_id, make)

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
        await self.events.propose(chat_id, make)

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

    # --- leaving ---

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

        await self.events.propose(chat_id, make)

    # --- who is meant ---

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
