"""Removing a device: the next signed list without it, and everything of it gone at once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from sqlalchemy import Connection, select

from mensajeria.kit.clock import Clock
from mensajeria.protocol.approval import Action, removal_digest
from mensajeria.protocol.auth_changes import DeviceRemove
from mensajeria.protocol.devices import VerifiedList
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.server.accounts.approvals import change_of, require_approval
from mensajeria.server.accounts.ended import EndedLogins
from mensajeria.server.accounts.ending import revoke_device
from mensajeria.server.accounts.login import ProvenLogin, proven_account
from mensajeria.server.admin.audit import Act, record
from mensajeria.server.db.engine import Database
from mensajeria.server.db.schema import device
from mensajeria.server.devices.audience import contacts_of
from mensajeria.server.devices.lists import check_removed, newest_list, swap_list
from mensajeria.server.facts import Facts
from mensajeria.server.push import Push
from mensajeria.server.ratelimit.limiter import Limiter
from mensajeria.server.ratelimit.limits import Limit


@dataclass(frozen=True, slots=True)
class _Removal:
    """A verified list, and the device that it leaves out."""

    verified: VerifiedList
    did: bytes


class DeviceRemoval:
    """The service behind the `device_remove` message."""

    def __init__(
        self, *, clock: Clock, db: Database, facts: Facts, limiter: Limiter, ends: EndedLogins, hub: Push
    ) -> None:
        self._clock = clock
        self._db = db
        self._facts = facts
        self._limiter = limiter
        self._ends = ends
        self._hub = hub

    async def remove(self, proven: ProvenLogin, message: DeviceRemove) -> int:
        """Store the list without the device and end it; the list's version when it is committed.

        Raises:
            ProtocolError: LIST_CONFLICT, LIST_INVALID, LAST_DEVICE, RATE_LIMITED, UNKNOWN_DEVICE, UNAUTHORIZED,
                APPROVAL_NEEDED, BAD_CREDENTIALS or ACCOUNT_SUSPENDED: nothing was changed.
        """
        await self._limiter.check(Limit.LIST_ACCOUNT, proven.uid)
        row, newest = await self._db.query(lambda c: (proven_account(c, proven), newest_list(c, proven.account_id)))
        verified, did = await asyncio.to_thread(check_removed, newest.body, message.device_list, row.identity)
        removal = _Removal(verified, did)
        gone, audience = await self._db.write(lambda c: self._store(c, proven, message, removal))
        await self._ends.tell([gone])
        await self._hub.notify_list_changed(audience, proven.uid, verified.ver)
        return verified.ver

    def _store(
        self, connection: Connection, proven: ProvenLogin, message: DeviceRemove, removal: _Removal
    ) -> tuple[int, list[int]]:
        now_ms, uid = self._clock.now_ms(), proven.uid
        row = proven_account(connection, proven, lock=True)
        gone = _device_row(connection, proven.account_id, removal.did)
        digest = removal_digest(message.device_list)
        change = change_of(proven, Action.DEVICE_REMOVE, self._facts.server_id, digest)
        require_approval(
            connection, proven, change, message.approval, identity=row.identity, now_ms=now_ms, against=gone
        )
        swap_list(connection, row.id, row.identity, removal.verified, message.device_list.sig, now_ms)
        revoke_device(connection, gone, now_ms)
        actor, target = uid.hex(), removal.did.hex()
        record(connection, Act.DEVICE_REMOVED, actor=actor, target=target, now_ms=now_ms)
        return gone, contacts_of(connection, row.id)


def _device_row(connection: Connection, account_id: int, did: bytes) -> int:
    query = select(device.c.id).where(device.c.did == did, device.c.account_id == account_id)
    found = connection.execute(query.where(device.c.revoked_ms.is_(None))).scalar_one_or_none()
    if found is None:
        raise ProtocolError(Code.UNKNOWN_DEVICE)
    return int(found)
