"""Device lists as the server keeps them: verified before they are stored, one version after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from mensajeria.protocol.devices import (
    DeviceListError,
    ListConflictError,
    VerifiedList,
    check_first_list,
    check_next_list,
    decode_device_list,
)
from mensajeria.protocol.encoding import MalformedError
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.protocol.limits import MAX_DEVICES
from mensajeria.protocol.records import ListedDevice, Signed
from mensajeria.server.db.schema import account, device, device_list
from mensajeria.server.keys.prekeys import CheckedPrekeys, add_one_time_keys, prekey_columns
from mensajeria.server.transparency.log import record_keys


@dataclass(frozen=True, slots=True)
class NewDevice:
    """A device that enters a list, with what it publishes."""

    listed: ListedDevice
    name: str
    prekeys: CheckedPrekeys


def check_first(signed: Signed, identity: bytes, *, uid: bytes, handle: str) -> VerifiedList:
    """The list of a new account; raises ProtocolError LIST_INVALID."""
    try:
        return check_first_list(signed, identity, uid=uid, handle=handle)
    except DeviceListError as error:
        raise ProtocolError(Code.LIST_INVALID, str(error)) from error


def check_added(previous_body: bytes, signed: Signed, identity: bytes, did: bytes) -> VerifiedList:
    """The list that follows `previous_body` and adds the device `did`, nothing else.

    Raises:
        ProtocolError: LIST_CONFLICT, TOO_MANY_DEVICES or LIST_INVALID.
    """
    before = {listed.did for listed in decode_device_list(previous_body).devices}
    if len(before) >= MAX_DEVICES:
        raise ProtocolError(Code.TOO_MANY_DEVICES)
    try:
        verified = check_next_list(previous_body, signed, identity)
    except ListConflictError as error:
        raise ProtocolError(Code.LIST_CONFLICT) from error
    except (DeviceListError, MalformedError) as error:
        raise ProtocolError(Code.LIST_INVALID, str(error)) from error
    if did in before or {listed.did for listed in verified.list.devices} != before | {did}:
        raise ProtocolError(Code.LIST_INVALID, "the list must add this device and change no other")
    return verified


def check_removed(previous_body: bytes, signed: Signed, identity: bytes) -> tuple[VerifiedList, bytes]:
    """The list that follows `previous_body` and leaves out one device, nothing else; and that device.

    Raises:
        ProtocolError: LIST_CONFLICT, LAST_DEVICE or LIST_INVALID.
    """
    before = {listed.did for listed in decode_device_list(previous_body).devices}
    try:
        verified = check_next_list(previous_body, signed, identity)
    except ListConflictError as error:
        raise ProtocolError(Code.LIST_CONFLICT) from error
    except (DeviceListError, MalformedError) as error:
        raise ProtocolError(Code.LIST_INVALID, str(error)) from error
    now = {listed.did for listed in verified.list.devices}
    if not now < before or len(before - now) != 1:
        raise ProtocolError(Code.LIST_INVALID, "the list must leave out one device and change no other")
    if not now:
        raise ProtocolError(Code.LAST_DEVICE)
    (gone,) = before - now
    return verified, gone


def newest_list(connection: Connection, account_id: int) -> Signed:
    """The newest list of an account."""
    query = (
        select(device_list.c.body, device_list.c.sig)
        .where(device_list.c.account_id == account_id)
        .order_by(device_list.c.ver.desc())
        .limit(1)
    )
    row = connection.execute(query).one()
    return Signed(row.body, row.sig)


def list_bodies(connection: Connection, account_id: int, after: int, limit: int) -> list[bytes]:
    """Bodies of the versions after `after`, ascending."""
    query = (
        select(device_list.c.body)
        .where(device_list.c.account_id == account_id, device_list.c.ver > after)
        .order_by(device_list.c.ver)
        .limit(limit)
    )
    return list(connection.execute(query).scalars())


def swap_list(
    connection: Connection, account_id: int, identity: bytes, verified: VerifiedList, sig: bytes, now_ms: int
) -> None:
    """Compare-and-swap: store the version that follows the account's newest.

    Raises:
        ProtocolError: LIST_CONFLICT when the account's newest version is another.
    """
    before = (account.c.id == account_id, account.c.list_ver == verified.ver - 1)
    if connection.execute(update(account).where(*before).values(list_ver=verified.ver)).rowcount != 1:
        raise ProtocolError(Code.LIST_CONFLICT)
    insert_list(connection, account_id, identity, verified, sig, now_ms)


def insert_list(
    connection: Connection, account_id: int, identity: bytes, verified: VerifiedList, sig: bytes, now_ms: int
) -> None:
    """Store a version that the account's row already names, with its leaf in the key log."""
    row = {"account_id": account_id, "ver": verified.ver, "body": verified.body, "sig": sig, "created_ms": now_ms}
    connection.execute(insert(device_list).values(row))
    uid, ver = verified.uid, verified.ver
    record_keys(connection, uid=uid, identity=identity, list_body=verified.body, ver=ver, now_ms=now_ms)


def insert_device(connection: Connection, account_id: int, new: NewDevice, now_ms: int) -> int:
    """Store a device and its prekeys; its row id."""
    values: dict[str, Any] = {
        "account_id": account_id,
        "did": new.listed.did,
        "name": new.name,
        "ed25519": new.listed.ed25519,
        "curve25519": new.listed.curve25519,
        "created_ms": now_ms,
        "last_seen_ms": now_ms,
    } | prekey_columns(new.prekeys, now_ms)
    device_id: int = connection.execute(insert(device).values(values).returning(device.c.id)).scalar_one()
    add_one_time_keys(connection, device_id, new.prekeys.one_time)
    return device_id
