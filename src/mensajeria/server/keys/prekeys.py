"""Prekeys: what a device publishes so that others can write to it while it is away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from mensajeria.protocol import limits
from mensajeria.protocol.api import PrekeyState
from mensajeria.protocol.auth import Prekeys
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.protocol.prekeys import (
    PrekeyError,
    SigningDevice,
    verify_fallback_key,
    verify_one_time_key,
    verify_pq_prekey,
)
from mensajeria.protocol.records import PqPrekey, Signed
from mensajeria.server.db.reads import Read
from mensajeria.server.db.schema import device, one_time_key

STATE: Final = Read(
    select(
        select(func.count()).where(one_time_key.c.device_id == bindparam("device")).scalar_subquery(),
        func.coalesce(device.c.pq_prekey_id, 0),
        func.coalesce(device.c.fallback_ms, 0),
    ).where(device.c.id == bindparam("device")),
    lambda left, pq, fallback_ms: PrekeyState(one_time_left=left, pq_prekey_id=pq, fallback_created_ms=fallback_ms),
)
"""What there is of `device`, by its row id."""


@dataclass(frozen=True, slots=True)
class CheckedPrekeys:
    """Prekeys whose signatures have been verified: `one_time` by key."""

    one_time: dict[bytes, Signed]
    fallback: Signed | None
    pq: Signed | None
    pq_record: PqPrekey | None


def check_prekeys(
    prekeys: Prekeys, *, uid: bytes, signer: SigningDevice, now_ms: int, complete: bool = False
) -> CheckedPrekeys:
    """Verify every signature. `complete`: a new device must bring a fallback key and a hybrid prekey.

    Raises:
        ProtocolError: MALFORMED, naming the kind of key.
    """
    if complete and (prekeys.fallback is None or prekeys.pq is None):
        raise ProtocolError(Code.MALFORMED, "prekeys: a new device needs a fallback key and a hybrid prekey")
    try:
        one_time = {verify_one_time_key(signed, uid=uid, device=signer).key: signed for signed in prekeys.one_time}
        if prekeys.fallback is not None:
            verify_fallback_key(prekeys.fallback, uid=uid, device=signer)
        pq = None if prekeys.pq is None else verify_pq_prekey(prekeys.pq, uid=uid, device=signer, now_ms=now_ms)
    except PrekeyError as error:
        raise ProtocolError(Code.MALFORMED, f"prekeys: {error}") from error
    return CheckedPrekeys(one_time, prekeys.fallback, prekeys.pq, pq)


def prekey_columns(keys: CheckedPrekeys, now_ms: int) -> dict[str, Any]:
    """The columns of `device` that hold the fallback key and the hybrid prekey, those that were given."""
    columns: dict[str, Any] = {}
    if keys.fallback is not None:
        columns |= {"fallback_body": keys.fallback.body, "fallback_sig": keys.fallback.sig, "fallback_ms": now_ms}
    if keys.pq is not None and keys.pq_record is not None:
        columns |= {"pq_body": keys.pq.body, "pq_sig": keys.pq.sig, "pq_prekey_id": keys.pq_record.prekey_id}
    return columns


def add_one_time_keys(connection: Connection, device_id: int, keys: dict[bytes, Signed]) -> None:
    """Add keys that are not there yet; the oldest go when there are more than OTK_UPLOAD_MAX."""
    known = set(connection.execute(select(one_time_key.c.key).where(one_time_key.c.device_id == device_id)).scalars())
    rows = [
        {"device_id": device_id, "key": key, "body": signed.body, "sig": signed.sig}
        for key, signed in keys.items()
        if key not in known
    ]
    if rows:
        connection.execute(insert(one_time_key), rows)
    newest = (
        select(one_time_key.c.id)
        .where(one_time_key.c.device_id == device_id)
        .order_by(one_time_key.c.id.desc())
        .limit(limits.OTK_UPLOAD_MAX)
    )
    connection.execute(
        delete(one_time_key).where(one_time_key.c.device_id == device_id, one_time_key.c.id.not_in(newest))
    )


def replace_prekeys(connection: Connection, device_id: int, keys: CheckedPrekeys, now_ms: int) -> None:
    """Store an upload of an existing device.

    Raises:
        ProtocolError: STALE_PREKEY when the hybrid prekey is older than the stored one.
    """
    row = connection.execute(
        select(device.c.pq_prekey_id, device.c.pq_body).where(device.c.id == device_id).with_for_update()
    ).one()
    new = keys.pq_record
    if new is not None and row.pq_prekey_id is not None and keys.pq is not None:
        same = row.pq_prekey_id == new.prekey_id and row.pq_body == keys.pq.body
        if not same and new.prekey_id <= row.pq_prekey_id:
            raise ProtocolError(Code.STALE_PREKEY, "the hybrid prekey's id must grow")
    if columns := prekey_columns(keys, now_ms):
        connection.execute(update(device).where(device.c.id == device_id).values(**columns))
    add_one_time_keys(connection, device_id, keys.one_time)


def take_one_time_key(connection: Connection, device_id: int) -> Signed | None:
    """Remove the oldest one-time key and return it: nobody else gets it."""
    oldest = (
        select(one_time_key.c.id)
        .where(one_time_key.c.device_id == device_id)
        .order_by(one_time_key.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    taken = delete(one_time_key).where(one_time_key.c.id == oldest).returning(one_time_key.c.body, one_time_key.c.sig)
    row = connection.execute(taken).one_or_none()
    return None if row is None else Signed(row.body, row.sig)


def count_one_time_keys(connection: Connection, device_ids: Sequence[int]) -> dict[int, int]:
    """How many one-time keys are left, by device."""
    rows = connection.execute(
        select(one_time_key.c.device_id, func.count())
        .where(one_time_key.c.device_id.in_(device_ids))
        .group_by(one_time_key.c.device_id)
    )
    left = dict.fromkeys(device_ids, 0)
    left.update((device_id, count) for device_id, count in rows)
    return left
