"""Erasing messages: the body is really gone, a tombstone stays in its place, so that the log has no gap."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import Connection, bindparam, select, update

from mensajeria.protocol.frames import Event, EventKind, Tombstone
from mensajeria.protocol.membership import Role
from mensajeria.protocol.records import MessageOuter
from mensajeria.server.chats.cache import ChatInfo
from mensajeria.server.db.engine import AnyRow
from mensajeria.server.db.schema_chats import event
from mensajeria.server.db.schema_content import membership

ERASED: Final = "erased"
UNKNOWN: Final = "unknown"
REFUSED: Final = "refused"
_UNFREED: Final = "unfreed"
_decoder: Final = msgspec.msgpack.Decoder(MessageOuter)
_encoder: Final = msgspec.msgpack.Encoder()


class Why(IntEnum):
    """What a tombstone says about the reason."""

    AUTHOR = 1
    ADMIN = 2
    TIMER = 3
    RETENTION = 4


@dataclass(frozen=True, slots=True)
class Wish:
    """A message that somebody wants erased: with the token whose hash it carries, or without as an admin."""

    mid: bytes
    token: bytes | None


def erase(connection: Connection, info: ChatInfo, uid: bytes, wishes: Sequence[Wish]) -> tuple[list[str], list[Event]]:
    """Erase what may be erased: an outcome for each wish, and the changed rows. Again is no error."""
    rows = _messages(connection, info.id, [wish.mid for wish in wishes])
    is_admin = any(wish.token is None for wish in wishes) and _is_admin(connection, info.id, uid)
    outcomes: list[str] = []
    changed: dict[int, tuple[AnyRow, Why]] = {}
    for wish in wishes:
        row = rows.get(wish.mid)
        outcome = UNKNOWN if row is None else _judge(row, wish, is_admin=is_admin)
        outcomes.append(outcome)
        if row is not None and outcome == ERASED and row.kind == EventKind.MESSAGE:
            changed.setdefault(row.seq, (row, Why.ADMIN if wish.token is None else Why.AUTHOR))
    bodies = bury(connection, info.id, list(changed.values()))
    return outcomes, [
        Event(info.chat_id, row.seq, row.ts, EventKind.TOMBSTONE, body)
        for (row, _), body in zip(changed.values(), bodies, strict=True)
    ]


def _messages(connection: Connection, chat_row: int, mids: Sequence[bytes]) -> dict[bytes, AnyRow]:
    query = (
        select(event.c.seq, event.c.mid, event.c.ts, event.c.kind, event.c.body)
        .where(event.c.chat == chat_row, event.c.mid.in_(mids), event.c.kind != EventKind.MEMBER)
        .with_for_update()
    )
    return {row.mid: row for row in connection.execute(query)}


def _judge(row: AnyRow, wish: Wish, *, is_admin: bool) -> str:
    if row.kind == EventKind.TOMBSTONE:
        return ERASED
    if wish.token is None:
        return ERASED if is_admin else REFUSED
    proof = hashlib.sha256(wish.token).digest()
    return ERASED if hmac.compare_digest(proof, _decoder.decode(row.body).del_hash) else REFUSED


def _is_admin(connection: Connection, chat_row: int, uid: bytes) -> bool:
    """By the chain: an owner or an admin. In a direct chat nobody is."""
    query = select(membership.c.role).where(
        membership.c.chat == chat_row, membership.c.uid == uid, membership.c.removed_seq.is_(None)
    )
    return connection.execute(query).scalar_one_or_none() in {Role.OWNER, Role.ADMIN}


def bury(connection: Connection, chat_row: int, rows: Sequence[tuple[Any, Why]]) -> list[bytes]:
    """Replace the bodies of message rows (seq, body) of one chat; the tombstones' bytes."""
    if not rows:
        return []
    bodies = [tombstone(row.body, why) for row, why in rows]
    with secure_delete(connection):
        connection.execute(
            update(event)
            .where(event.c.chat == bindparam("p_chat"), event.c.seq == bindparam("p_seq"))
            .values(kind=int(EventKind.TOMBSTONE), body=bindparam("p_body")),
            [
                {"p_chat": chat_row, "p_seq": row.seq, "p_body": body}
                for (row, _), body in zip(rows, bodies, strict=True)
            ],
        )
    return bodies


def tombstone(body: bytes, why: Why) -> bytes:
    """What stays of a message: where it stood in its author's session, so that no reader misses it."""
    outer = _decoder.decode(body)
    return _encoder.encode(Tombstone(outer.session_id, outer.idx, int(why)))


@contextmanager
def secure_delete(connection: Connection, how: Literal["ON", "FAST"] = "ON") -> Iterator[None]:
    """SQLite overwrites what is removed inside with zeros. PostgreSQL does it when it vacuums.

    FAST leaves whole pages, which would have to be written for that alone, to `retention.free_erased`.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    before = connection.exec_driver_sql("PRAGMA secure_delete").scalar_one()
    connection.exec_driver_sql(f"PRAGMA secure_delete = {how}")
    connection.info[_UNFREED] = True
    try:
        yield
    finally:
        connection.exec_driver_sql(f"PRAGMA secure_delete = {int(before)}")


def take_unfreed(connection: Connection) -> bool:
    """Whether something was removed securely on this connection since this was asked last."""
    return bool(connection.info.pop(_UNFREED, False))
