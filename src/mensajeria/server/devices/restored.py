"""After a declared restore: an account's own devices bring back the device lists that the backup did not hold.

The account's identity has signed the newest one, which vouches for those between by their hashes; the same rules hold
as when they were first stored. Devices that they add come back by password, those that they leave out are cut off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from mensajeria.protocol.devices import (
    DeviceListError,
    PinnedList,
    VerifiedList,
    decode_device_list,
    device_list_hash,
    verify_device_list,
)
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.protocol.records import Signed
from mensajeria.server.accounts.ending import revoke_device
from mensajeria.server.accounts.sessions import Login
from mensajeria.server.admin.audit import Act, record
from mensajeria.server.db.schema import account, device, device_list
from mensajeria.server.devices.audience import contacts_of
from mensajeria.server.devices.lists import newest_list
from mensajeria.server.transparency.log import record_keys


@dataclass(frozen=True, slots=True)
class BroughtBack:
    """What came of it: the newest version, row ids of devices that are cut off now, and accounts to be told."""

    ver: int
    ended: tuple[int, ...] = ()
    audience: tuple[int, ...] = ()


def bring_back(
    connection: Connection, login: Login, between: Sequence[bytes], newest: Signed, now_ms: int
) -> BroughtBack:
    """Store the versions after the account's stored one; one that is stored already changes nothing.

    Raises:
        ProtocolError: LIST_CONFLICT, another or a newer list is stored; LIST_INVALID; FORBIDDEN, the caller's device
            does not stand in the newest list.
    """
    row = connection.execute(
        select(account.c.identity, account.c.uid).where(account.c.id == login.account_id).with_for_update()
    ).one()
    stored = newest_list(connection, login.account_id)
    verified = _verified(stored, row.uid, row.identity, between, newest)
    if verified.find(login.did) is None:
        raise ProtocolError(Code.FORBIDDEN)
    if verified.hash == device_list_hash(stored.body):
        return BroughtBack(verified.ver)
    for body in (*between, verified.body):
        _store(connection, login.account_id, row.identity, body, newest, now_ms)
    connection.execute(update(account).where(account.c.id == login.account_id).values(list_ver=verified.ver))
    ended = _follow(connection, login.account_id, verified, now_ms)
    actor = row.uid.hex()
    record(connection, Act.LISTS_BROUGHT_BACK, actor=actor, target=actor, now_ms=now_ms)
    return BroughtBack(verified.ver, ended, tuple(contacts_of(connection, login.account_id)))


def _verified(stored: Signed, uid: bytes, identity: bytes, between: Sequence[bytes], newest: Signed) -> VerifiedList:
    pinned = PinnedList(decode_device_list(stored.body).ver, device_list_hash(stored.body))
    try:
        return verify_device_list(newest, identity, uid=uid, pinned=pinned, between=between)
    except (DeviceListError, ValueError) as error:
        known = _version(newest.body)
        if known is not None and known <= pinned.ver:
            raise ProtocolError(Code.LIST_CONFLICT) from error
        raise ProtocolError(Code.LIST_INVALID, str(error)) from error


def _version(body: bytes) -> int | None:
    try:
        return decode_device_list(body).ver
    except ValueError:
        return None


def _store(connection: Connection, account_id: int, identity: bytes, body: bytes, newest: Signed, now_ms: int) -> None:
    """One version with its leaf. Those between have no signature any more, and need none: only the newest is served."""
    listed = decode_device_list(body)
    sig = newest.sig if body == newest.body else b""
    values = {"account_id": account_id, "ver": listed.ver, "body": body, "sig": sig, "created_ms": now_ms}
    connection.execute(insert(device_list).values(values))
    record_keys(connection, uid=listed.uid, identity=identity, list_body=body, ver=listed.ver, now_ms=now_ms)


def _follow(connection: Connection, account_id: int, verified: VerifiedList, now_ms: int) -> tuple[int, ...]:
    """Make the table of devices what the list says; the rows of devices that were cut off."""
    rows = connection.execute(
        select(device.c.id, device.c.did, device.c.revoked_ms).where(device.c.account_id == account_id)
    ).all()
    gone = tuple(row.id for row in rows if row.revoked_ms is None and verified.find(row.did) is None)
    for device_id in gone:
        revoke_device(connection, device_id, now_ms)
    known = {row.did for row in rows}
    for listed in verified.list.devices:
        if listed.did not in known:
            values = {
                "account_id": account_id,
                "did": listed.did,
                "name": listed.did.hex()[:8],
                "ed25519": listed.ed25519,
                "curve25519": listed.curve25519,
                "created_ms": listed.created,
                "last_seen_ms": now_ms,
            }
            connection.execute(insert(device).values(values))
    return gone
