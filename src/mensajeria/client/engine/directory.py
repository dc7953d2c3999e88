"""Other people's keys: fetched, verified, pinned; and what is told when they changed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from mensajeria.client.api import DeviceListChanged, DeviceView, SecurityKind, Trust
from mensajeria.client.engine import new_devices
from mensajeria.client.engine.context import Context
from mensajeria.client.engine.envelopes import Mail
from mensajeria.client.engine.former_people import beside_namesakes, gone, there
from mensajeria.client.engine.identity_moves import announced_identity, follows, show_renewed, show_reset_in_groups
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.own_lists import may_be_behind
from mensajeria.client.engine.people import Served, new_contact, updated_contact, verified_list, verify_served
from mensajeria.client.engine.trust import note, note_list, show_changed
from mensajeria.client.errors import ClientError, RefusedError, SecurityError
from mensajeria.client.store import Tx
from mensajeria.client.store.values import Contact
from mensajeria.protocol.devices import (
    MissingListsError,
    UnsupportedListError,
    VerifiedList,
    decode_device_list,
    device_list_hash,
)
from mensajeria.protocol.errors import Code
from mensajeria.protocol.ids import Did, Uid
from mensajeria.protocol.records import Signed

if TYPE_CHECKING:  # its library is loaded when the network is first used
    from mensajeria.protocol.api import DeviceInfo, UserKeys


_log = logging.getLogger(__name__)
MAX_FORMER: Final = 1024
"""Versions of one user's list that are fetched to judge old signatures."""


class Directory:
    """Keeps contacts' device lists up to date. Each user is fetched by one task at a time."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._locks: dict[Uid, asyncio.Lock] = {}
        self.check_name: Callable[[str, Uid], Awaitable[None]] | None = None
        """Whether the key log says the same of a name; raises SecurityError. Set when the client is put together."""

    async def refresh(self, uid: Uid) -> Contact:
        """Fetch the newest list of a user, whether or not one is known.

        Raises:
            SecurityError: the server served a list that must not be; nothing of it is used, and a warning was given.
            RefusedError, NetworkError: it could not be fetched.
        """
        lock = self._locks.setdefault(uid, asyncio.Lock())
        async with lock:
            try:
                keys = await self._context.rest.users.keys(uid)
            except RefusedError as error:
                if error.code == Code.UNKNOWN_USER:
                    await self._context.commit(lambda tx, out: gone(tx, out, self._context.me, uid))
                raise
            try:
                return await self._take(_served(keys), uid)
            except SecurityError:
                await self._context.store.run(lambda tx: tx.contacts.settle(uid))
                raise

    async def refresh_all(self, uids: Iterable[Uid]) -> bool:
        """`refresh` each; whether all worked. A user whose list fails keeps nobody else from being served."""
        good = True
        for uid in uids:
            try:
                await self.refresh(uid)
            except ClientError:
                good = False
        return good

    async def fetch_former(self, uid: Uid) -> None:
        """Every earlier list of a user, as far as the newest one vouches for them. Raises as `refresh`."""
        known = await self._context.store.read(lambda tx: tx.contacts.get(uid))
        if known is None:
            return
        bodies: list[bytes] = []
        while len(bodies) < min(known.list_ver - 1, MAX_FORMER):
            page = await self._context.rest.users.list_bodies(uid, len(bodies))
            if not page:
                break
            bodies += page
        await self._context.store.run(lambda tx: _keep_former(tx, known, bodies[: known.list_ver - 1]))

    async def by_handle(self, handle: str) -> Contact:
        """Who has the name now, by the server's word; their keys are pinned. Raises as `refresh`."""
        served = _served(await self._context.rest.users.by_handle(handle))
        contact = await self._take(served, Uid(served.uid))
        if contact.handle != handle:
            raise SecurityError("identity_swapped", params={"handle": handle})
        if self.check_name is not None:
            await self.check_name(handle, contact.uid)
        return contact

    async def _take(self, served: Served, uid: Uid) -> Contact:
        if served.uid != uid:
            raise await self._warned(SecurityError("identity_swapped", params={"handle": uid.hex()[:8]}))
        known = await self._context.store.read(lambda tx: tx.contacts.get(uid))
        try:
            verified, between = await self._verify(served, known)
        except SecurityError as error:
            if known is not None and await self._is_behind(error, served, known):
                return known
            raise await self._warned(error) from error
        except UnsupportedListError as error:
            raise ClientError("newer_version", str(error)) from error
        mail, names = Mail(), await self._names(uid, known, verified)
        moved = known is not None and await self._has_moved(known, verified)
        # The own ones: a restored server may have to be given them again. Of others what tells their identity then.
        kept = between if uid == self._context.me.uid or _changes_identity(between, known, verified) else ()

        def store(tx: Tx, out: Mail) -> Contact:
            for body in kept:
                tx.contacts.put_former_list(uid, decode_device_list(body).ver, device_list_hash(body), body)
            return self._store(tx, out, served, verified, names, moved=moved)

        return await self._context.commit_with(mail, store)

    async def _is_behind(self, error: SecurityError, served: Served, known: Contact) -> bool:
        """An older list of the same identity, of a server that was declared restored: the pinned one counts on."""
        if error.code != "list_rolled_back" or not await self._context.store.read(lambda tx: may_be_behind(tx, known)):
            return False
        try:
            return verify_served(served, None).idfp == known.idfp
        except (SecurityError, UnsupportedListError):
            return False

    async def _verify(self, served: Served, known: Contact | None) -> tuple[VerifiedList, Sequence[bytes]]:
        try:
            return verify_served(served, known), ()
        except MissingListsError as missing:
            after, upto = missing.after, missing.upto
        between = (await self._context.rest.users.list_bodies(served.uid, after))[: upto - after - 1]
        try:
            return verify_served(served, known, between), between
        except MissingListsError as error:
            raise SecurityError("list_forked", "the bodies between were not served") from error

    async def _has_moved(self, known: Contact, verified: VerifiedList) -> bool:
        """Whether the known identity, with its recovery code, has signed for the one that is served now."""
        if verified.idfp == known.idfp or known.uid == self._context.me.uid:
            return False
        try:
            proofs = await self._context.rest.users.successions(known.uid, known.list_ver)
        except RefusedError as error:
            _log.warning("no succession is served: %s", error.code)
            return False
        return follows(known.uid, known, verified, proofs)

    async def _warned(self, error: SecurityError) -> SecurityError:
        def warn(tx: Tx, out: Outcome) -> None:
            out.warn(tx, error.code, self._context.me.clock.now_ms(), None, **error.params)

        await self._context.commit(warn)
        return error

    def _store(
        self,
        tx: Tx,
        out: Mail,
        served: Served,
        verified: VerifiedList,
        names: Mapping[bytes, DeviceInfo],
        *,
        moved: bool,
    ) -> Contact:
        """Pin the list and act on what it changes: identity, parked envelopes, events that needed it."""
        me, now, uid = self._context.me, self._context.me.clock.now_ms(), Uid(verified.uid)
        known = tx.contacts.get(uid)
        if known is None:
            fresh = new_contact(verified, served, now)
        else:
            fresh = updated_contact(known, verified, served, now, moved=moved)
        if known is not None and fresh.list_ver < known.list_ver:
            return known  # another task was faster
        if known is None:
            fresh = beside_namesakes(tx, out, self._context.me, fresh)
        there(tx, out, uid)
        if known is not None and fresh.idfp != known.idfp and uid == me.uid:
            if served.identity != announced_identity(tx):  # else the login that comes next adopts it
                out.warn(tx, "own_identity_swapped", now)
            return known
        tx.contacts.put(fresh)
        self._tell(tx, out, known, fresh, names, moved=moved)
        if known is None or fresh.list_hash != known.list_hash:
            out.log_due = True
        self._context.marks.met(tx, out, uid)
        self._context.envelopes.retry(tx, out, uid)
        for chat_id in tx.chats.with_member(uid):
            self._context.rows.reopen_held(tx, out, chat_id)
        return tx.contacts.get(uid) or fresh

    def _tell(
        self,
        tx: Tx,
        out: Outcome,
        known: Contact | None,
        fresh: Contact,
        names: Mapping[bytes, DeviceInfo],
        *,
        moved: bool,
    ) -> None:
        """What changed of a person whose newest list is stored now: the identity, or which devices there are."""
        me, now, uid = self._context.me, self._context.me.clock.now_ms(), fresh.uid
        if known is None:
            if fresh.trust is Trust.CHANGED:
                show_changed(tx, out, fresh, now)
        elif fresh.idfp == known.idfp:
            note_list(tx, now, uid, verified_list(known), verified_list(fresh))
            if uid == me.uid and fresh.list_ver > known.list_ver:
                self._own_changed(tx, out, verified_list(known), verified_list(fresh), names)
        elif moved:
            show_renewed(tx, out, me, known, fresh)
            self._context.marks.moved(tx, out, uid)
        else:
            show_changed(tx, out, fresh, now)
            show_reset_in_groups(tx, out, me, fresh)
            former, idfp = known.idfp.hex()[:16], fresh.idfp.hex()[:16]
            note(tx, now, SecurityKind.IDENTITY_CHANGED, uid, former=former, idfp=idfp)

    def _own_changed(
        self, tx: Tx, out: Outcome, before: VerifiedList, after: VerifiedList, names: Mapping[bytes, DeviceInfo]
    ) -> None:
        """A device came: is it mine? A device went: every chat is told, in a while by this one if nobody else does."""
        me, now = self._context.me, self._context.me.clock.now_ms()
        came, went = new_devices.changes(before, after)
        new_devices.note(tx, me.did, came, went, now)
        if after.list.backup_ver > before.list.backup_ver:
            new_devices.tell_chats(tx, after.ver, new_devices.others_due_ms(now, self._context.chance()))
            out.sign_events = True
        shown = own_devices(after, me.did, names, new_devices.unconfirmed(tx))
        out.events.append(DeviceListChanged(shown, tuple(one for one in shown if one.did in came), tuple(went)))

    async def _names(self, uid: Uid, known: Contact | None, verified: VerifiedList) -> Mapping[bytes, DeviceInfo]:
        """What the server calls the own devices, when there is news of them."""
        if uid != self._context.me.uid or known is None or verified.ver <= known.list_ver:
            return {}
        try:
            self._context.device_names = {info.did: info for info in await self._context.rest.account.devices()}
        except ClientError:
            return {}
        return self._context.device_names


def _keep_former(tx: Tx, known: Contact, bodies: Sequence[bytes]) -> None:
    """Keep those that the chain of `prev` leads to, from the newest list backwards."""
    expected = decode_device_list(known.list_body).prev
    for body in reversed(bodies):
        found = device_list_hash(body)
        if found != expected:
            return
        listed = decode_device_list(body)
        tx.contacts.put_former_list(known.uid, listed.ver, found, body)
        expected = listed.prev


def _changes_identity(between: Sequence[bytes], known: Contact | None, verified: VerifiedList) -> bool:
    """Whether signatures under versions that were never seen may be of another identity than the newest one's."""
    if known is None or not between:
        return False
    return any(idfp != verified.idfp for idfp in (known.idfp, *(decode_device_list(body).idfp for body in between)))


def own_devices(
    verified: VerifiedList,
    own: Did,
    names: Mapping[bytes, DeviceInfo] | None = None,
    new: frozenset[Did] = frozenset(),
) -> tuple[DeviceView, ...]:
    """The account's devices: which they are is signed, names and times are the server's word."""
    shown = []
    for device in verified.list.devices:
        info = (names or {}).get(device.did)
        name, seen = (info.name, info.last_seen_ms) if info is not None else (device.did.hex()[:8], 0)
        shown.append(DeviceView(Did(device.did), name, device.created, seen, device.did == own, device.did in new))
    return tuple(shown)


def _served(keys: UserKeys) -> Served:
    return Served(keys.uid, keys.identity, Signed(keys.device_list.body, keys.device_list.sig))
