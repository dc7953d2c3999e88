"""Rotating the keys that make access tokens and that seal channel keys in the database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import Connection, Table, select, update

from mensajeria.kit.clock import Clock, SystemClock
from mensajeria.protocol import limits
from mensajeria.protocol.errors import ProtocolError
from mensajeria.server.accounts.signals import POLL_S, signal_keys
from mensajeria.server.accounts.tokens import ROLLOUT_MS, ChannelKeySealer
from mensajeria.server.admin.audit import Act, record
from mensajeria.server.admin.work import operator, with_database
from mensajeria.server.db.engine import AnyRow, Database
from mensajeria.server.db.schema import device, refresh_family
from mensajeria.server.facts import StateError
from mensajeria.server.findings import Finding
from mensajeria.server.keyfiles import (
    CHANNEL_KEY,
    TOKEN_KEY,
    KeyFiles,
    forget_former_key,
    load_key_files,
    rotate_key_file,
)
from mensajeria.server.settings import Settings

BATCH: Final = 500
TOKEN_REST_MS: Final = ROLLOUT_MS + limits.ACCESS_TOKEN_S * 1000
"""Until the last token of the key before has expired: two rotations closer together would end logins."""


def rotate_token_key(settings: Settings, clock: Clock | None = None) -> None:
    """A new key for access tokens; running servers take it up, and accept the former one until its tokens expire.

    Raises:
        StateError: there are no secret files, or the last rotation is less than about ten minutes ago.
    """
    now_ms = (clock or SystemClock()).now_ms()
    former = _keys(settings).former_token
    if former is not None and now_ms < former.at_ms + TOKEN_REST_MS:
        raise StateError(Finding.KEYS_JUST_ROTATED())

    async def work(db: Database) -> None:
        await asyncio.to_thread(rotate_key_file, settings.secrets_dir, TOKEN_KEY, now_ms)
        await db.write(lambda connection: _tell(connection, TOKEN_KEY, now_ms))

    with_database(settings, work)


def rotate_channel_key(settings: Settings, clock: Clock | None = None, *, wait_s: float = 3 * POLL_S) -> int:
    """A new key that seals channel keys; everything sealed is sealed anew. Returns how many secrets that were.

    A rotation that was interrupted is finished instead of beginning another. Takes a few seconds: the running servers
    must have read the new key before anything is sealed with it.

    Raises:
        StateError: there are no secret files.
    """
    now_ms = (clock or SystemClock()).now_ms()
    interrupted = _keys(settings).former_channel is not None

    async def work(db: Database) -> int:
        if not interrupted:
            await asyncio.to_thread(rotate_key_file, settings.secrets_dir, CHANNEL_KEY, now_ms)
        await db.write(lambda connection: _tell(connection, CHANNEL_KEY, now_ms))
        await asyncio.sleep(wait_s)
        keys = await asyncio.to_thread(_keys, settings)
        count = await _seal_anew(db, keys)
        await asyncio.to_thread(forget_former_key, settings.secrets_dir, CHANNEL_KEY)
        await db.write(lambda connection: signal_keys(connection, now_ms))
        return count

    return with_database(settings, work)


def _keys(settings: Settings) -> KeyFiles:
    keys = load_key_files(settings.secrets_dir)
    if keys is None:
        raise StateError(Finding.SECRETS_MISSING(path=settings.secrets_dir))
    return keys


def _tell(connection: Connection, name: str, now_ms: int) -> None:
    signal_keys(connection, now_ms)
    record(connection, Act.KEYS_ROTATED, actor=operator(), target=name, now_ms=now_ms)


async def _seal_anew(db: Database, keys: KeyFiles) -> int:
    former = keys.former_channel
    both = ChannelKeySealer(keys.channel, None if former is None else former.key)
    channel = await _each(db, device, "ck_sealed", lambda row, sealed: _again(both, "ck", row.did, sealed))
    successors = await _each(
        db, refresh_family, "successor", lambda row, sealed: _again(both, "refresh", row.previous_hash, sealed)
    )
    return channel + successors


def _again(sealer: ChannelKeySealer, label: str, owner: bytes, sealed: bytes) -> bytes | None:
    """Sealed under the newest key; None for what no key opens, which a login will replace."""
    try:
        return sealer.seal(label, owner, sealer.unseal(label, owner, sealed))
    except ProtocolError:
        return None


async def _each(db: Database, table: Table, column: str, renew: Callable[[AnyRow, bytes], bytes | None]) -> int:
    """Replace a sealed column row by row, a batch to a transaction. A login meanwhile wins: its row is left alone."""
    count, after = 0, 0
    while True:
        done, last = await db.write(lambda connection, start=after: _batch(connection, table, column, renew, start))  # type: ignore[misc]
        count += done
        if last is None:
            return count
        after = last


def _batch(
    connection: Connection,
    table: Table,
    column: str,
    renew: Callable[[AnyRow, bytes], bytes | None],
    after: int,
) -> tuple[int, int | None]:
    sealed: Any = table.c[column]
    query = select(table).where(table.c.id > after, sealed.is_not(None)).order_by(table.c.id).limit(BATCH)
    rows = connection.execute(query).all()
    done = 0
    for row in rows:
        old: bytes = getattr(row, column)
        new = renew(row, old)
        if new is not None:
            mine = (table.c.id == row.id, sealed == old)
            done += connection.execute(update(table).where(*mine).values({column: new})).rowcount
    return done, rows[-1].id if rows else None
