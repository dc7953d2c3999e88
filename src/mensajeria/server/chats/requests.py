"""Message requests: who may make how many, and how the members that somebody adds to a group enter it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, and_, func, insert, select

from mensajeria.protocol import limits
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.protocol.membership import Row
from mensajeria.server.chats.blocks import blockers_of
from mensajeria.server.db.schema import account
from mensajeria.server.db.schema_chats import chat, chat_member

DAY_MS: Final = 24 * 3600 * 1000
_KIND_DIRECT: Final = 0


def check_limits(connection: Connection, own: int, receivers: Sequence[int], now_ms: int) -> None:
    """May `own` make a request to each of these accounts? Until the transaction ends, nobody else is told yes for them.

    Raises:
        ProtocolError: REQUEST_LIMIT, too many unanswered requests by `own` today, or for one of them.
    """
    rows = select(account.c.id).where(account.c.id.in_({own, *receivers})).order_by(account.c.id)
    connection.execute(rows.with_for_update(key_share=True)).all()
    sent = select(func.count()).where(
        chat_member.c.added_by == own,
        chat_member.c.created_ms > now_ms - DAY_MS,
        chat_member.c.accepted.is_(False),
    )
    if connection.execute(sent).scalar_one() + len(receivers) > limits.PENDING_PER_SENDER_DAY:
        raise ProtocolError(Code.REQUEST_LIMIT, retry_after_ms=DAY_MS // 24)
    waiting = (
        select(func.count())
        .where(
            chat_member.c.account.in_(receivers), chat_member.c.accepted.is_(False), chat_member.c.declined.is_(False)
        )
        .group_by(chat_member.c.account)
    )
    if any(count >= limits.PENDING_PER_ACCOUNT for count in connection.execute(waiting).scalars()):
        raise ProtocolError(Code.REQUEST_LIMIT, retry_after_ms=DAY_MS // 24)


def contacts_among(connection: Connection, own: int, others: Sequence[int]) -> set[int]:
    """Which of `others` have a direct chat with `own` that both have accepted."""
    mine, theirs = chat_member.alias("mine"), chat_member.alias("theirs")
    query = (
        select(theirs.c.account)
        .select_from(mine)
        .join(theirs, and_(theirs.c.chat == mine.c.chat, theirs.c.account.in_(others)))
        .join(chat, chat.c.id == mine.c.chat)
        .where(
            mine.c.account == own,
            mine.c.accepted.is_(True),
            theirs.c.accepted.is_(True),
            chat.c.kind == _KIND_DIRECT,
        )
    )
    return set(connection.execute(query).scalars())


def admit(connection: Connection, chat_row: int, rows: Sequence[Row], by_uid: bytes, now_ms: int) -> tuple[int, ...]:
    """Give members that `by_uid` names access to a group; the accounts that are to be told.

    A contact is in at once. For a stranger the group is a request; for whoever has blocked the adder it is one that is
    declined already, which the adder cannot tell from one that nobody has answered.

    Raises:
        ProtocolError: UNKNOWN_USER, EVENT_INVALID (the identity is not that user's) or REQUEST_LIMIT.
    """
    accounts = _accounts(connection, rows)
    own = accounts.get(by_uid) or connection.execute(select(account.c.id).where(account.c.uid == by_uid)).scalar_one()
    others = sorted(set(accounts.values()) - {own})
    contacts = contacts_among(connection, own, others)
    blockers = blockers_of(connection, own, others)
    strangers = [other for other in others if other not in contacts]
    if strangers:
        check_limits(connection, own, strangers, now_ms)
    connection.execute(
        insert(chat_member),
        [
            {
                "chat": chat_row,
                "account": member,
                "accepted": member == own or (member in contacts and member not in blockers),
                "declined": member in blockers,
                "created_ms": now_ms,
                "added_by": None if member == own else own,
            }
            for member in sorted(accounts.values())
        ],
    )
    return tuple(member for member in sorted(accounts.values()) if member not in blockers)


def _accounts(connection: Connection, rows: Sequence[Row]) -> dict[bytes, int]:
    query = select(account.c.id, account.c.uid, account.c.idfp).where(account.c.uid.in_([row.uid for row in rows]))
    found = {row.uid: row for row in connection.execute(query)}
    for row in rows:
        if row.uid not in found:
            raise ProtocolError(Code.UNKNOWN_USER)
        if found[row.uid].idfp != row.idfp:
            raise ProtocolError(Code.EVENT_INVALID, "a member's identity is not that user's")
    return {uid: row.id for uid, row in found.items()}
