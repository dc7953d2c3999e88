"""How many message requests there may be, also when many are made at the same moment."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from sqlalchemy import Connection, func, select

from mensajeria.protocol import limits
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.server.chats import requests
from mensajeria.server.chats.repository import create_direct
from mensajeria.server.db.schema_chats import chat_member
from mensajeria.server.state import Server
from tests.server.people import NOW_MS, Person, insert_people

AT_ONCE = 8
MOST = 3


async def ask(server: Server, pairs: list[tuple[Person, Person]]) -> list[bool]:
    """Everybody begins a chat at the same moment; who was let."""

    async def one(number: int, own: Person, peer: Person) -> bool:
        chat_id = bytes([number]) * 32
        try:
            await server.db.write(
                partial(create_direct, chat_id=chat_id, own=own.account_id, peer=peer.account_id, now_ms=NOW_MS)
            )
        except ProtocolError as error:
            if error.code is not Code.REQUEST_LIMIT:
                raise
            return False
        return True

    return await asyncio.gather(*(one(number, *pair) for number, pair in enumerate(pairs)))


async def waiting(server: Server) -> int:
    def count(db: Connection) -> int:
        return db.execute(select(func.count()).where(chat_member.c.accepted.is_(False))).scalar_one()

    return await server.db.query(count)


async def test_requests_of_one_account_at_once_stay_within_its_limit(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PENDING_PER_SENDER_DAY", MOST)
    own, *peers = await server.db.write(lambda db: insert_people(db, AT_ONCE + 1))

    answers = await ask(server, [(own, peer) for peer in peers])

    assert (sum(answers), await waiting(server)) == (MOST, MOST)


async def test_requests_of_many_to_one_account_at_once_stay_within_its_limit(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PENDING_PER_ACCOUNT", MOST)
    peer, *askers = await server.db.write(lambda db: insert_people(db, AT_ONCE + 1))

    answers = await ask(server, [(own, peer) for own in askers])

    assert (sum(answers), await waiting(server)) == (MOST, MOST)


async def test_two_who_ask_each_other_at_once_do_not_wait_for_ever(server: Server) -> None:
    ana, bruno = await server.db.write(lambda db: insert_people(db, 2))

    assert await ask(server, [(ana, bruno), (bruno, ana)] * 4) == [True] * AT_ONCE


async def test_a_group_counts_as_a_request_to_each_stranger_in_it(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PENDING_PER_SENDER_DAY", MOST)
    own, *peers = await server.db.write(lambda db: insert_people(db, MOST + 2))
    ids = [peer.account_id for peer in peers]

    await server.db.write(lambda db: requests.check_limits(db, own.account_id, ids[:MOST], NOW_MS))
    with pytest.raises(ProtocolError):
        await server.db.write(lambda db: requests.check_limits(db, own.account_id, ids, NOW_MS))
