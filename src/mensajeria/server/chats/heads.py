"""Heads: a chat as one device sees it in a list. A page of them is one statement, members included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

import msgspec
from sqlalchemy import BigInteger, Connection, LargeBinary, and_, bindparam, func, select

from mensajeria.protocol.frames import Head
from mensajeria.server.chats.repository import KIND_DIRECT
from mensajeria.server.db.engine import Database
from mensajeria.server.db.reads import Read
from mensajeria.server.db.schema import account
from mensajeria.server.db.schema_chats import chat, chat_member, device_cursor


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who asks: heads differ by account and by device."""

    account_id: int
    device_id: int


class _HeadRow(msgspec.Struct, frozen=True, gc=False):
    """A chat as the viewer sees it, and one of its members: a direct chat's are rows of their own, a group's not."""

    id: int
    chat_id: bytes
    last_seq: int
    epoch: int
    member_seq: int
    accepted: int
    cursor: int
    member: int | None
    uid: bytes | None
    has_accepted: int | None
    delivered: int | None


def _own_chats() -> Any:
    return (
        select(
            *(chat.c.id, chat.c.chat_id, chat.c.kind, chat.c.last_seq, chat.c.epoch, chat.c.member_seq),
            *(chat_member.c.accepted, chat.c.last_ms),
        )
        .select_from(chat_member)
        .join(chat, chat.c.id == chat_member.c.chat)
        .where(chat_member.c.account == bindparam("account"), chat_member.c.declined.is_(False))
        .where(chat.c.departed.is_(False))  # its id could not be checked any more: devices keep what they have
    )


def _with_members(own: Any) -> Read[_HeadRow]:
    page, member = own.subquery("page"), chat_member.alias("member")
    is_direct = page.c.kind == KIND_DIRECT
    own_cursor = and_(device_cursor.c.chat == page.c.id, device_cursor.c.device == bindparam("device"))
    statement = (
        select(
            *(page.c.id, page.c.chat_id, page.c.last_seq, page.c.epoch, page.c.member_seq, page.c.accepted),
            func.coalesce(device_cursor.c.seq, 0),
            *(member.c.account, account.c.uid, member.c.accepted, member.c.delivered),
        )
        .select_from(page)
        .outerjoin(device_cursor, own_cursor)
        .outerjoin(member, and_(member.c.chat == page.c.id, is_direct))
        .outerjoin(account, account.c.id == member.c.account)
        .order_by(page.c.last_ms.desc(), page.c.id.desc(), account.c.uid)
    )
    return Read(statement, _HeadRow)


def _page() -> Any:
    """Chosen from the account's chats: by all chats' ids, as the limit may suggest, would read those of everybody."""
    own = _own_chats().cte("own").prefix_with("MATERIALIZED")
    after = own.c.chat_id > bindparam("after", type_=LargeBinary)
    return select(own).where(after).order_by(own.c.chat_id).limit(bindparam("limit", type_=BigInteger))


HEADS: Final = _with_members(_page())
"""A page of heads: `account`, `device`, `after`, `limit`."""
HEAD: Final = _with_members(_own_chats().where(chat.c.chat_id == bindparam("chat_id")))
"""The head of one chat: `account`, `device`, `chat_id`."""


async def heads_page(db: Database, viewer: Viewer, after: bytes, limit: int) -> tuple[list[Head], bool]:
    """Heads of the account's chats with the smallest ids above `after`, newest activity first; and are there more?

    Declined chats are left out.
    """
    rows = await db.rows(HEADS, account=viewer.account_id, device=viewer.device_id, after=after, limit=limit + 1)
    heads = _heads(viewer, rows)
    if len(heads) <= limit:
        return heads, False
    one_too_many = max(head.chat_id for head in heads)
    return [head for head in heads if head.chat_id != one_too_many], True


async def head_for(db: Database, viewer: Viewer, chat_id: bytes) -> Head | None:
    """As `one_head`, by itself."""
    return _only(_heads(viewer, await db.rows(HEAD, **_one(viewer, chat_id))))


def one_head(connection: Connection, viewer: Viewer, chat_id: bytes) -> Head | None:
    """The head of one chat, or None when the account is not in it or has declined it."""
    return _only(_heads(viewer, HEAD.within(connection, **_one(viewer, chat_id))))


def _one(viewer: Viewer, chat_id: bytes) -> dict[str, Any]:
    return {"account": viewer.account_id, "device": viewer.device_id, "chat_id": chat_id}


def _only(heads: Sequence[Head]) -> Head | None:
    return heads[0] if heads else None


def _heads(viewer: Viewer, rows: Sequence[_HeadRow]) -> list[Head]:
    heads = []
    for _, group in groupby(rows, attrgetter("id")):
        members = list(group)
        others = [one for one in members if one.member != viewer.account_id and one.has_accepted]
        first = members[0]
        heads.append(
            Head(
                chat_id=first.chat_id,
                last_seq=first.last_seq,
                epoch=first.epoch,
                member_seq=first.member_seq,
                accepted=bool(first.accepted),
                members=tuple(one.uid for one in members if one.uid is not None),
                delivered=others[-1].delivered or 0 if others else 0,
                cursor=first.cursor,
            )
        )
    return heads
