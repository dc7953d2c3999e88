"""Reads that are compiled once: the same rows on both databases, alone and inside of a transaction."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import Connection, bindparam, insert, select

from mensajeria.server.db.failures import DATABASE_ERRORS
from mensajeria.server.db.reads import Read
from mensajeria.server.db.schema import account
from mensajeria.server.db.schema_chats import chat
from mensajeria.server.state import Server
from tests.server.fixtures import void
from tests.server.people import insert_people

BY_UID: Read[tuple[bytes, int]] = Read(
    select(account.c.uid, account.c.root_ver)
    .where(account.c.uid > bindparam("after"), account.c.uid != bindparam("not"), account.c.root_ver == 1)
    .order_by(account.c.uid)
    .limit(2),
    lambda uid, ver: (uid, int(ver)),
)
DEPARTED: Read[bool] = Read(select(chat.c.departed).where(chat.c.chat_id == bindparam("chat_id")), bool)


async def test_named_values_and_constants_come_to_the_driver_in_their_order(server: Server) -> None:
    uids = sorted(one.uid for one in await server.db.write(lambda db: insert_people(db, 4)))

    rows = await server.db.rows(BY_UID, after=uids[0], **{"not": uids[1]})

    assert rows == [(uids[2], 1), (uids[3], 1)]


async def test_inside_of_a_transaction_it_sees_what_the_transaction_wrote(server: Server) -> None:
    def write(db: Connection) -> list[tuple[bytes, int]]:
        (one,) = insert_people(db, 1)
        found = BY_UID.within(db, after=b"", **{"not": b""})
        assert found == [(one.uid, 1)]
        return found

    assert await server.db.write(write) == await server.db.rows(BY_UID, after=b"", **{"not": b""})


async def test_a_value_that_is_missing_is_an_error_of_the_caller(server: Server) -> None:
    with pytest.raises(KeyError):
        await server.db.rows(BY_UID, after=b"")


async def test_many_reads_at_once_share_a_few_connections(server: Server) -> None:
    await server.db.write(
        lambda db: void(db.execute(insert(chat).values(chat_id=b"c" * 32, kind=0, last_ms=1, created_ms=1)))
    )

    rows = await asyncio.gather(*(server.db.rows(DEPARTED, chat_id=b"c" * 32) for _ in range(40)))

    assert rows == [[False]] * 40


async def test_one_that_the_database_refuses_fails_alone(server: Server) -> None:
    await server.db.rows(DEPARTED, chat_id=b"")
    broken: Read[int] = Read(select(account.c.uid.op("no such operator")(bindparam("x"))), int)

    with pytest.raises(DATABASE_ERRORS):
        await server.db.rows(broken, x=b"")
    assert await server.db.rows(DEPARTED, chat_id=b"") == []
