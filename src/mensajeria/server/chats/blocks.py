"""Who has blocked whom: rows, and what follows for direct chats and mailboxes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from sqlalchemy import Connection, Select, and_, bindparam, delete, func, insert, or_, select

from mensajeria.protocol import limits
from mensajeria.protocol.api import BlockedUser
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.server.db.reads import Read
from mensajeria.server.db.schema import account
from mensajeria.server.db.schema_chats import chat_member
from mensajeria.server.db.schema_content import block

PAGE: Final = 200
BLOCKS: Final = Read(
    select(account.c.uid, block.c.created_ms)
    .select_from(block)
    .join(account, account.c.id == block.c.blocked)
    .where(block.c.account == bindparam("account"), account.c.uid > bindparam("after"))
    .order_by(account.c.uid)
    .limit(PAGE + 1),
    lambda uid, since_ms: BlockedUser(uid=uid, since_ms=since_ms),
)
"""Whom `account` has blocked, by uid, one more than a page after the uid `after`."""


def is_blocked(connection: Connection, one: int, other: int) -> bool:
    """True when one of two accounts has blocked the other."""
    either = or_(
        and_(block.c.account == one, block.c.blocked == other), and_(block.c.account == other, block.c.blocked == one)
    )
    return connection.execute(select(block.c.account).where(either).limit(1)).first() is not None


def blocked_chats(connection: Connection, chats: Collection[int]) -> set[int]:
    """Which of these chats, by row id, have a member that has blocked another: of direct chats, those that are over."""
    one, other = chat_member.alias("one"), chat_member.alias("other")
    query = (
        select(one.c.chat)
        .join(other, other.c.chat == one.c.chat)
        .join(block, and_(block.c.account == one.c.account, block.c.blocked == other.c.account))
        .where(one.c.chat.in_(chats))
    )
    return set(connection.execute(query).scalars())


def blockers_of(connection: Connection, blocked: int, among: Collection[int]) -> set[int]:
    """Which of these accounts have blocked the account."""
    query = select(block.c.account).where(block.c.account.in_(among), block.c.blocked == blocked)
    return set(connection.execute(query).scalars())


def add_block(connection: Connection, own: int, other: int, now_ms: int) -> None:
    """Block an account. Again is no error.

    Raises:
        ProtocolError: QUOTA_EXCEEDED, too many blocks.
    """
    if connection.execute(_row(own, other)).first() is not None:
        return
    count = select(func.count()).select_from(block).where(block.c.account == own)
    if connection.execute(count).scalar_one() >= limits.MAX_BLOCKS:
        raise ProtocolError(Code.QUOTA_EXCEEDED, f"at most {limits.MAX_BLOCKS} blocks")
    connection.execute(insert(block).values(account=own, blocked=other, created_ms=now_ms))


def remove_block(connection: Connection, own: int, other: int) -> None:
    """Take a block back; one that is not there is no error."""
    connection.execute(delete(block).where(block.c.account == own, block.c.blocked == other))


def _row(own: int, other: int) -> Select[tuple[int]]:
    return select(block.c.account).where(block.c.account == own, block.c.blocked == other)
