"""Claiming prekeys: what somebody gets who wants to write to a device for the first time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from mensajeria.protocol import limits
from mensajeria.protocol.api import ClaimedKeys, SignedModel
from mensajeria.server.accounts.sessions import Login
from mensajeria.server.db.engine import AnyRow, Database
from mensajeria.server.db.schema import account, device
from mensajeria.server.db.schema_chats import chat_member
from mensajeria.server.keys.prekeys import count_one_time_keys, take_one_time_key
from mensajeria.server.push import Push
from mensajeria.server.ratelimit.limiter import Limiter
from mensajeria.server.ratelimit.limits import Limit


@dataclass(frozen=True, slots=True)
class _Target:
    """A device that was asked for; `open`: its owner has accepted the claimer, or is the claimer."""

    row: AnyRow
    open: bool


async def claim(db: Database, limiter: Limiter, hub: Push, login: Login, dids: Sequence[bytes]) -> list[ClaimedKeys]:
    """Keys of the devices, in the order asked and each once; unknown and revoked devices are left out.

    A one-time key is gone with the answer. Over the limits, or before the owner has accepted a chat with the claimer,
    the fallback key is given instead: a stranger can use up nobody's keys, and nobody is locked out.
    """
    targets = await db.query(lambda connection: _targets(connection, login.account_id, dids))
    spend = [await _may_spend(limiter, login, target) for target in targets]

    def take(connection: Connection) -> tuple[list[ClaimedKeys], dict[int, int]]:
        chosen = list(zip(targets, spend, strict=True))
        keys = [_keys(connection, target.row, one_time=may) for target, may in chosen]
        return keys, count_one_time_keys(connection, [target.row.id for target, may in chosen if may])

    keys, left = await db.write(take)
    for device_id, count in left.items():
        if count < limits.OTK_REFILL_BELOW:
            await hub.otk_low(device_id, count)
    return keys


async def _may_spend(limiter: Limiter, login: Login, target: _Target) -> bool:
    if not target.open:
        return False
    pair = login.did + target.row.did
    return await limiter.allows(Limit.CLAIM_PAIR, pair) and await limiter.allows(Limit.CLAIM_TARGET, target.row.did)


def _targets(connection: Connection, claimer: int, dids: Sequence[bytes]) -> list[_Target]:
    columns: tuple[Any, ...] = (
        device.c.id,
        device.c.did,
        device.c.account_id,
        device.c.fallback_body,
        device.c.fallback_sig,
        device.c.pq_body,
        device.c.pq_sig,
    )
    query = (
        select(*columns)
        .join(account, account.c.id == device.c.account_id)
        .where(device.c.did.in_(dids), device.c.revoked_ms.is_(None))
    )
    rows = {row.did: row for row in connection.execute(query)}
    accepted = _accepting(connection, claimer, {row.account_id for row in rows.values()})
    found = [rows[did] for did in dict.fromkeys(dids) if did in rows]
    return [_Target(row, row.account_id in accepted) for row in found]


def _accepting(connection: Connection, claimer: int, owners: set[int]) -> set[int]:
    """Which of `owners` have accepted a chat that they share with the claimer; the claimer itself always has."""
    mine, theirs = chat_member.alias("mine"), chat_member.alias("theirs")
    query = (
        select(theirs.c.account)
        .distinct()
        .select_from(mine.join(theirs, mine.c.chat == theirs.c.chat))
        .where(mine.c.account == claimer, theirs.c.account.in_(owners), theirs.c.accepted.is_(True))
    )
    return {claimer, *connection.execute(query).scalars()}


def _keys(connection: Connection, row: AnyRow, *, one_time: bool) -> ClaimedKeys:
    taken = take_one_time_key(connection, row.id) if one_time else None
    return ClaimedKeys(
        did=row.did,
        one_time=None if taken is None else SignedModel(body=taken.body, sig=taken.sig),
        fallback=None if taken is not None else _stored(row.fallback_body, row.fallback_sig),
        pq=_stored(row.pq_body, row.pq_sig),
    )


def _stored(body: bytes | None, sig: bytes | None) -> SignedModel | None:
    return None if body is None or sig is None else SignedModel(body=body, sig=sig)
