"""Reading and changing chats outside of the hot path: pages of events, direct chats, answers.

Every function takes a SQLAlchemy connection inside a transaction and runs on both databases.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, and_, func, insert, select, update

from mensajeria.protocol import limits
from mensajeria.protocol.frames import Event, EventKind
from mensajeria.server.chats.blocks import blockers_of
from mensajeria.server.chats.requests import check_limits
from mensajeria.server.db.schema_chats import chat, chat_member, event

KIND_DIRECT: Final = 0
KIND_GROUP: Final = 1
PAGE_BYTES: Final = limits.MAX_FRAME - (64 << 10)
"""Stored bytes in one answer: the rest of the frame is the headers of up to 500 events."""


def events_after(
    connection: Connection, chat_row: int, chat_id: bytes, after: int, limit: int
) -> tuple[int, tuple[Event, ...]]:
    """The log's end and the rows after `after`: gapless, oldest first, at most `limit` and about one frame of bytes.

    What is committed while this reads can only be behind the rows returned: numbers follow the order of commits.
    """
    last_seq = connection.execute(select(chat.c.last_seq).where(chat.c.id == chat_row)).scalar_one()
    page = and_(event.c.chat == chat_row, event.c.seq > after)
    sizes = connection.execute(
        select(event.c.seq, func.length(event.c.body).label("size")).where(page).order_by(event.c.seq).limit(limit)
    )
    until = last_that_fits((row.seq, row.size) for row in sizes)
    if until is None:
        return last_seq, ()
    rows = connection.execute(
        select(event.c.seq, event.c.ts, event.c.kind, event.c.body)
        .where(page, event.c.seq <= until)
        .order_by(event.c.seq)
    )
    return last_seq, tuple(Event(chat_id, row.seq, row.ts, EventKind(row.kind), row.body) for row in rows)


def last_that_fits(sizes: Any) -> int | None:
    """The last of (key, bytes) pairs that still fits into one answer; the first one always does."""
    total, last = 0, None
    for key, size in sizes:
        total += size
        if last is not None and total > PAGE_BYTES:
            break
        last = key
    return last


def create_direct(connection: Connection, chat_id: bytes, own: int, peer: int, now_ms: int) -> bool:
    """Register the direct chat of two accounts (or of one with itself); True when it was not there yet. Idempotent.

    The caller has checked that `chat_id` is the hash of exactly these two.

    Raises:
        ProtocolError: REQUEST_LIMIT, too many unanswered requests by `own` today or for `peer`.
    """
    if connection.execute(select(chat.c.id).where(chat.c.chat_id == chat_id)).first() is not None:
        return False
    if own != peer:
        check_limits(connection, own, [peer], now_ms)
    blockers = blockers_of(connection, own, [peer])
    row = connection.execute(
        insert(chat).values(chat_id=chat_id, kind=KIND_DIRECT, last_ms=now_ms, created_ms=now_ms).returning(chat.c.id)
    ).scalar_one()
    members = [
        {
            "chat": row,
            "account": member,
            "accepted": member == own,
            "declined": member in blockers,  # whoever has blocked the caller never hears of it
            "created_ms": now_ms,
            "added_by": None if member == own else own,
        }
        for member in sorted({own, peer})
    ]
    connection.execute(insert(chat_member), members)
    return True


def answer(connection: Connection, chat_row: int, account_id: int, *, accept: bool) -> None:
    """Accept or decline the chat for one member."""
    connection.execute(
        update(chat_member)
        .where(chat_member.c.chat == chat_row, chat_member.c.account == account_id)
        .values(accepted=accept, declined=not accept)
    )
