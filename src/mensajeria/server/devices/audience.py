"""Whom a change of somebody's keys concerns."""

from __future__ import annotations

from sqlalchemy import Connection, select

from mensajeria.server.db.schema_chats import chat_member


def contacts_of(connection: Connection, account_id: int) -> list[int]:
    """The accounts that share a chat with this one, and itself."""
    mine, theirs = chat_member.alias("mine"), chat_member.alias("theirs")
    query = (
        select(theirs.c.account)
        .distinct()
        .select_from(mine.join(theirs, mine.c.chat == theirs.c.chat))
        .where(mine.c.account == account_id)
    )
    return sorted({account_id, *connection.execute(query).scalars()})
