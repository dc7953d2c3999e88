"""Profiles of people: the own one published and told to contacts, theirs fetched and shown (docs/protocol/e2ee.md §10).

What the person wants changed is stored first and published beside a connection: it survives a crash and being offline.
Of a contact's profile nothing is shown but the bytes that one of their devices has named; whatever else a server serves
leaves what was shown before.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from mensajeria.client.api import ProfileChanged, UserProfile
from mensajeria.client.core.backoff import Backoff
from mensajeria.client.engine.letters import Letter, devices_of
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.own_lists import RESTORED_AT
from mensajeria.client.engine.people import list_of
from mensajeria.client.engine.profile_letters import SHARED, is_contact, named, profile_letters
from mensajeria.client.errors import ClientError, InputError, NetworkError, RefusedError
from mensajeria.client.store import Tx
from mensajeria.client.store.blocks import is_blocked
from mensajeria.client.store.profiles import ProfileRow, ProfileWish
from mensajeria.client.transfer.pictures import is_portrait
from mensajeria.crypto.aead import SealError
from mensajeria.crypto.padding import PaddingError
from mensajeria.crypto.user_profile import is_named, new_profile_key, open_user_profile, profile_hash, seal_user_profile
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import limits
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import MalformedError, NewerVersionError
from mensajeria.protocol.errors import Code
from mensajeria.protocol.ids import Did, Uid
from mensajeria.protocol.records import ToDevice
from mensajeria.protocol.records_profiles import PROFILE_KEY, ProfileKey, is_clean_name, is_clean_status
from mensajeria.protocol.records_profiles import UserProfile as Record

if TYPE_CHECKING:
    from mensajeria.client.engine.context import Context
    from mensajeria.client.engine.directory import Directory
    from mensajeria.client.engine.envelopes import Mail

_log = logging.getLogger(__name__)
PROFILE_BACK: Final = "profile_back"
"""The restore epoch of a server that has to be given the own profile again; 0 or absent: nothing is due."""
TELL: Final = "profile_tell"
"""Version of the own profile that this device has published and not yet told to every contact."""
MAX_JUMP: Final = 1 << 20
"""A server that claims a version so much above the known one is not followed: it could use up all numbers."""
ROUNDS: Final = 4
"""So often in one go a newer version is made of the own profile."""
_UID_BYTES: Final = 16
Deliver = Callable[[Sequence[Letter]], Awaitable[object]]


class UserProfiles:
    """Over the running parts of one client; registers what it takes, and runs beside each connection."""

    def __init__(self, context: Context, directory: Directory) -> None:
        self._context = context
        self._directory = directory
        self._ahead = 0
        """The version that the server had when a device's own one was refused: a second time it is overruled."""
        self._fetching = asyncio.Lock()
        self.settled = asyncio.Event()
        """Set while everything that the person wanted is published and told, as far as the last look says."""
        context.envelopes.register(PROFILE_KEY, self._named)
        context.settings.on(SHARED, self._shared)

    # --- what the client asks ---

    async def own(self) -> UserProfile:
        """The own profile as the person wants it, published or not yet."""
        return await self._context.store.read(self._wanted)

    async def shown(self) -> Mapping[Uid, UserProfile]:
        """Every profile that is here, by user."""
        return await self._context.store.read(lambda tx: tx.profiles.shown())

    async def of(self, uid: Uid) -> UserProfile | None:
        """Somebody's profile; None when they have told none, or it is not here yet."""
        row = await self._context.store.read(lambda tx: tx.profiles.get(uid))
        return None if row is None or not row.shown_ver else row.shown

    async def change(self, wish: ProfileWish) -> UserProfile:
        """Want something changed: kept at once, published when there is a connection. Raises InputError."""
        _check(wish)

        def step(tx: Tx, out: Outcome) -> UserProfile:
            tx.profiles.wish(wish)
            out.profiles = True
            return self._wanted(tx)

        self.settled.clear()
        return await self._context.commit(step)

    async def published(self) -> None:
        """Wait until everything that the person wanted is published, and told to contacts."""
        while not await self._context.store.read(_is_settled):
            self.settled.clear()
            self._context.profiles_due.set()
            await self.settled.wait()

    def _wanted(self, tx: Tx) -> UserProfile:
        row = tx.profiles.get(self._context.me.uid)
        return _merged(UserProfile() if row is None else row.shown, tx.profiles.wished())

    # --- beside a connection ---

    async def run(self, deliver: Deliver) -> None:
        """Do what is due, until cancelled."""
        backoff, due = Backoff(), self._context.profiles_due
        await self._context.store.run(self._adopt)
        due.set()
        while True:
            await due.wait()
            due.clear()
            try:
                await self._work(deliver)
                backoff.reset()
            except ClientError as error:
                _log.info("profiles wait: %s", error.code)
                await asyncio.sleep(backoff.next_delay(self._context.chance()))
                due.set()

    async def _work(self, deliver: Deliver) -> None:
        await self._bring_back()
        await self.fetch()
        await self._publish_all()
        await self._tell(deliver)
        if await self._context.store.read(_is_settled):
            self.settled.set()

    def _adopt(self, tx: Tx) -> None:
        """Settings that came from the backup, or with a restored copy, before anybody acted on them."""
        for stored in tx.settings.all(SHARED):
            self._learn_shared(tx, stored.key, stored.value)

    # --- the own one ---

    async def _bring_back(self) -> None:
        """A restored server may have an older one: it gets the newest, the very same bytes."""
        me = self._context.me
        due = await self._context.store.read(lambda tx: tx.meta.number(PROFILE_BACK))
        if not due:
            return
        kept = await self._context.store.read(lambda tx: tx.profiles.sealed(me.uid))
        if kept is not None:
            try:
                await self._context.rest.account.put_profile(*kept)
            except RefusedError as error:
                if error.code != Code.PROFILE_CONFLICT:  # another own device was faster, or the server has lost nothing
                    raise
        await self._context.store.run(lambda tx: _done(tx, PROFILE_BACK, due))

    async def _publish_all(self) -> None:
        """A server that refuses whatever it is given is asked again later, and not in a circle."""
        for _ in range(ROUNDS):
            if not await self._publish():
                return
        raise RefusedError(Code.PROFILE_CONFLICT, "again and again")

    async def _publish(self) -> bool:
        """Publish what is wished; whether to look again at once."""
        plan = await self._context.store.read(self._plan)
        if plan is None:
            return False
        wish, key, ver, profile = plan
        sealed = seal_user_profile(key, self._context.me.uid, ver, _record(profile))
        try:
            await self._context.rest.account.put_profile(ver, sealed)
        except RefusedError as error:
            if error.code != Code.PROFILE_CONFLICT:
                raise
            return await self._overtaken(error)
        self._ahead = 0
        await self._context.commit(lambda tx, out: self._published(tx, out, wish, key, ver, profile, sealed))
        return True

    def _plan(self, tx: Tx) -> tuple[ProfileWish, Secret, int, UserProfile] | None:
        wish = tx.profiles.wished()
        if wish is None:
            return None
        own = tx.profiles.get(self._context.me.uid)
        ver = max(self._ahead, 0 if own is None else own.ver) + 1
        # Every version has a key of its own: whoever is not told of it, blocked or removed, cannot open it.
        return wish, new_profile_key(), ver, _merged(UserProfile() if own is None else own.shown, wish)

    async def _overtaken(self, refusal: RefusedError) -> bool:
        """Another device has published meanwhile. Its setting is waited for once, so that its change is not lost."""
        me = self._context.me
        served = await self._context.rest.users.profile(me.uid)
        own = await self._context.store.read(lambda tx: tx.profiles.get(me.uid))
        known = 0 if own is None else own.ver
        if known >= served.ver:
            await self.fetch()
            return True
        if served.ver > known + MAX_JUMP:
            _log.warning("the server claims a version far above every one that was published")
            raise refusal
        if self._ahead != served.ver:
            self._ahead = served.ver
            raise refusal
        return True

    def _published(
        self, tx: Tx, out: Outcome, wish: ProfileWish, key: Secret, ver: int, profile: UserProfile, sealed: bytes
    ) -> None:
        me = self._context.me
        tx.profiles.granted(wish.number)
        if not tx.profiles.learn(me.uid, ver, key, profile_hash(sealed), me.clock.now_ms()):
            return  # another own device was faster, and its setting is here already
        tx.profiles.show(me.uid, ver, profile, sealed)
        tx.meta.raise_to(TELL, ver)
        self._shown(tx, out, me.uid)

    # --- telling contacts ---

    async def _tell(self, deliver: Deliver) -> None:
        """The device that has published tells everybody; other own devices do with their next sender key."""
        ver = await self._context.store.read(lambda tx: tx.meta.number(TELL))
        if not ver:
            return
        for uid in await self._context.store.read(self._contacts):
            try:
                await self._directory.refresh(uid)
            except NetworkError:
                raise
            except ClientError as error:  # a false list, or nobody: they are told when their list is good
                _log.info("a contact is not told of the profile: %s", error.code)
                continue
            letters = await self._context.store.read(lambda tx: self._letters(tx, uid))  # noqa: B023 - run at once
            if letters:
                await deliver(letters)
        await self._context.store.run(lambda tx: _done(tx, TELL, ver))

    def _contacts(self, tx: Tx) -> tuple[Uid, ...]:
        chats = [chat for chat in tx.chats.all() if chat.last_seq and is_contact(tx, chat)]
        return tuple(dict.fromkeys(chat.peer for chat in chats if chat.peer is not None))

    def _letters(self, tx: Tx, uid: Uid) -> list[Letter]:
        theirs = list_of(tx, uid)
        chats = [chat for chat_id in tx.chats.with_peer(uid) if (chat := tx.chats.get(chat_id)) is not None]
        if theirs is None or not chats:
            return []
        return profile_letters(tx, self._context.me, chats[0], devices_of([theirs], but=self._context.me.did))

    # --- everybody's ---

    async def fetch(self) -> None:
        """Fetch what contacts have announced and is not here yet. Raises RefusedError, NetworkError."""
        async with self._fetching:
            await self._fetch_wanted()

    async def _fetch_wanted(self) -> None:
        for row in await self._context.store.read(self._wanted_rows):
            try:
                served = await self._context.rest.users.profile(row.uid)
            except RefusedError as error:
                if error.retry:
                    raise
                continue  # withheld, or its owner has blocked us: what was shown stays
            found = await asyncio.to_thread(_opened, row, served.ver, served.sealed)

            def step(tx: Tx, out: Outcome) -> None:
                self._settle(tx, out, row, served.ver, found, served.sealed)  # noqa: B023 - run at once

            await self._context.commit(step)

    def _wanted_rows(self, tx: Tx) -> list[ProfileRow]:
        return [row for row in tx.profiles.wanted() if row.uid == self._context.me.uid or self._may_fetch(tx, row.uid)]

    @staticmethod
    def _may_fetch(tx: Tx, uid: Uid) -> bool:
        """Nothing is fetched of a stranger, nor of somebody who is blocked."""
        chats = (tx.chats.get(chat_id) for chat_id in tx.chats.with_peer(uid))
        return not is_blocked(tx, uid) and any(chat is not None and chat.accepted for chat in chats)

    def _settle(
        self, tx: Tx, out: Outcome, row: ProfileRow, served: int, found: UserProfile | None, sealed: bytes
    ) -> None:
        """Show what was opened. A version above the named one waits for its letter, an older one is a rollback."""
        me, now = self._context.me, tx.profiles.get(row.uid)
        if now is None or now.ver != row.ver or not now.is_wanted:
            out.profiles |= now is not None and now.is_wanted
            return
        if found is not None:
            tx.profiles.show(row.uid, row.ver, found, sealed if row.uid == me.uid else None)
            self._shown(tx, out, row.uid)
        elif served == row.ver and is_named(sealed, row.hash):
            _log.info("somebody has published a profile that must not be shown")
            tx.profiles.refuse(row.uid, accused=False)
        elif served == row.ver or (served < row.ver and row.at_ms > tx.meta.number(RESTORED_AT)):
            if not now.accused:  # whoever names what is not there, again and again, is not told of each time
                out.warn(tx, "profile_refused", me.clock.now_ms(), handle=tx.contacts.person(row.uid).handle)
            tx.profiles.refuse(row.uid, accused=True)

    def _shown(self, tx: Tx, out: Outcome, uid: Uid) -> None:
        row = tx.profiles.get(uid)
        assert row is not None  # it was just stored
        self._context.settings.put(tx, out, SHARED + uid.hex(), named(row))
        out.events.append(ProfileChanged(tx.contacts.person(uid), row.shown))

    # --- what devices say ---

    def _named(self, tx: Tx, out: Mail, uid: Uid, _did: Did, letter: ToDevice) -> None:
        """A letter "profile_key". Kept of a stranger, too, and used once they are accepted."""
        record = decode_record(ProfileKey, letter.c)
        if uid == self._context.me.uid:
            raise MalformedError("own devices share a setting")
        if not is_blocked(tx, uid):
            out.profiles |= self._learn(tx, uid, record)

    def _shared(self, tx: Tx, out: Outcome, key: str, value: bytes) -> None:
        out.profiles |= self._learn_shared(tx, key, value)

    def _learn_shared(self, tx: Tx, key: str, value: bytes) -> bool:
        """What another program has written there counts as never set."""
        uid = _uid_of(key)
        try:
            return uid is not None and self._learn(tx, uid, decode_record(ProfileKey, value))
        except (MalformedError, NewerVersionError):
            return False

    def _learn(self, tx: Tx, uid: Uid, record: ProfileKey) -> bool:
        now = self._context.me.clock.now_ms()
        return tx.profiles.learn(uid, record.ver, Secret(record.key), record.hash, now)


def _opened(row: ProfileRow, ver: int, sealed: bytes) -> UserProfile | None:
    """What the server served, if it is what the owner's device has named and may be shown. Any bytes give an answer."""
    if ver != row.ver or not is_named(sealed, row.hash):
        return None
    try:
        found = open_user_profile(row.key, row.uid, ver, sealed)
    except (SealError, PaddingError, MalformedError, NewerVersionError):
        return None
    if found.picture and not is_portrait(found.picture):
        return None
    return UserProfile(found.name, found.status, found.picture)


def _record(profile: UserProfile) -> Record:
    return Record(name=profile.name, status=profile.status, picture=profile.picture)


def _merged(base: UserProfile, wish: ProfileWish | None) -> UserProfile:
    if wish is None:
        return base
    return UserProfile(
        base.name if wish.name is None else wish.name,
        base.status if wish.status is None else wish.status,
        base.picture if wish.picture is None else wish.picture,
    )


def _check(wish: ProfileWish) -> None:
    """Nothing is published that contacts would refuse. Raises InputError."""
    if wish.name is not None and not (len(wish.name) <= limits.PROFILE_NAME_CHARS and is_clean_name(wish.name)):
        raise InputError("profile_name_invalid")
    if wish.status is not None and not (
        len(wish.status) <= limits.PROFILE_STATUS_CHARS and is_clean_status(wish.status)
    ):
        raise InputError("profile_status_invalid")
    if wish.picture and (len(wish.picture) > limits.PROFILE_PICTURE_BYTES or not is_portrait(wish.picture)):
        raise InputError("image_invalid")


def _uid_of(key: str) -> Uid | None:
    text = key.removeprefix(SHARED)
    try:
        uid = bytes.fromhex(text)
    except ValueError:
        return None
    return Uid(uid) if len(uid) == _UID_BYTES and uid.hex() == text else None


def _is_settled(tx: Tx) -> bool:
    return tx.profiles.wished() is None and not tx.meta.number(TELL)


def _done(tx: Tx, name: str, value: int) -> None:
    """What was due is done, unless more became due meanwhile."""
    if tx.meta.number(name) == value:
        tx.meta.remove(name)
