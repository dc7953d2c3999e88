"""Reads that gather, writes that do not wait for the disk, and what they store: cursors and signs of life."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from sqlalchemy import Connection, select
from sqlalchemy.exc import OperationalError

from mensajeria.server.accounts import seen
from mensajeria.server.accounts.seen import Seen
from mensajeria.server.chats import cursors
from mensajeria.server.chats.cursors import Step
from mensajeria.server.chats.log import NewEvent
from mensajeria.server.db.gathered import GatheredRead
from mensajeria.server.db.schema import device
from mensajeria.server.db.schema_chats import chat_member, device_cursor
from mensajeria.server.db.sqlite_writer import SqliteWriter
from mensajeria.server.realtime.gateway import event_log
from mensajeria.server.state import Server
from tests.server.people import Person, insert_direct_chat, insert_people


async def pair_with_events(server: Server, events: int) -> tuple[Person, Person, int, bytes]:
    def make(db: Connection) -> tuple[Person, Person, int, bytes]:
        one, other = insert_people(db, 2)
        row, chat_id = insert_direct_chat(db, server.facts.server_id, one, other)
        return one, other, row, chat_id

    one, other, row, chat_id = await server.db.write(make)
    log = event_log(server.db)
    await log.append([NewEvent(row, number.to_bytes(16, "big"), 0, 1, 1, b"x") for number in range(events)])
    await log.close()
    return one, other, row, chat_id


async def delivered(server: Server, row: int, account: int) -> int:
    query = select(chat_member.c.delivered).where(chat_member.c.chat == row, chat_member.c.account == account)
    return await server.db.query(lambda db: db.execute(query).scalar_one())


async def test_a_cursor_moves_forward_only_and_never_past_the_end(server: Server) -> None:
    ana, bruno, row, chat_id = await pair_with_events(server, 5)

    def step(seq: int) -> list[Step]:
        return [Step(bruno.device_id, bruno.account_id, row, chat_id, seq)]

    moved = [[one.seq for one in await cursors.move(server.db, step(seq))] for seq in (3, 2, 3, 900)]

    assert moved == [[3], [], [], [5]]
    assert await delivered(server, row, bruno.account_id) == 5
    assert await delivered(server, row, ana.account_id) == 0
    stored = await server.db.query(lambda db: db.execute(select(device_cursor)).all())
    assert [tuple(one) for one in stored] == [(bruno.device_id, row, 5)]


async def test_the_member_is_as_far_as_its_furthest_device(server: Server) -> None:
    _, bruno, row, chat_id = await pair_with_events(server, 9)
    second = await server.db.write(lambda db: insert_people(db, 1)[0].device_id)
    steps = [Step(one, bruno.account_id, row, chat_id, seq) for one, seq in ((bruno.device_id, 8), (second, 4))]

    moved = await cursors.move(server.db, steps)

    assert [(one.account, one.seq) for one in moved] == [(bruno.account_id, 8)]
    assert await delivered(server, row, bruno.account_id) == 8


async def test_a_sign_of_life_never_lowers_the_count_of_encryptions(server: Server) -> None:
    ana, bruno = await server.db.write(lambda db: insert_people(db, 2))
    await seen.store(server.db, [Seen(ana.device_id, ana.did, 10, 7)])
    signs = [
        Seen(ana.device_id, ana.did, 20, 3),
        Seen(bruno.device_id, bruno.did, 21, 9),
        Seen(bruno.device_id, bruno.did, 22, 8),
    ]
    await seen.store(server.db, signs)

    query = select(device.c.last_seen_ms, device.c.gen).order_by(device.c.id)
    rows = await server.db.query(lambda db: [tuple(row) for row in db.execute(query)])

    assert rows == [(20, 7), (22, 9)]


def through(
    server: Server, read: Callable[[Connection, Sequence[int]], dict[int, int]]
) -> Callable[[Sequence[int]], Awaitable[dict[int, int]]]:
    return lambda keys: server.db.query(lambda db: read(db, keys))


async def test_reads_that_are_asked_for_together_are_one_query(server: Server) -> None:
    asked: list[Sequence[int]] = []

    def read(_db: Connection, keys: Sequence[int]) -> dict[int, int]:
        asked.append(keys)
        return {key: key * key for key in keys if key != 3}

    gathered: GatheredRead[int, int] = GatheredRead(through(server, read), 3)
    assert await asyncio.gather(*(gathered.get(key) for key in (1, 2, 2, 3, 4))) == [1, 4, 4, None, 16]
    assert asked == [[1, 2], [3, 4]]


async def test_after_a_crowd_keys_gather_for_a_moment_and_one_alone_never_waits(server: Server) -> None:
    asked: list[Sequence[int]] = []

    def read(_db: Connection, keys: Sequence[int]) -> dict[int, int]:
        asked.append(keys)
        return dict.fromkeys(keys, 1)

    gathered: GatheredRead[int, int] = GatheredRead(through(server, read), 10, crowd_pause_s=60)
    async with asyncio.timeout(30):
        await gathered.get(1)
        await gathered.get(2)
        await asyncio.gather(gathered.get(3), gathered.get(4))
        late = [asyncio.create_task(gathered.get(key)) for key in (5, 6)]
        for _ in range(5):  # time enough for a query
            await server.db.query(lambda _db: None)
    assert asked == [[1], [2], [3, 4]]
    for task in late:
        task.cancel()


async def test_a_gathered_read_never_answers_from_a_query_that_began_earlier(server: Server) -> None:
    value = 1

    def read(_db: Connection, keys: Sequence[int]) -> dict[int, int]:
        return dict.fromkeys(keys, value)

    gathered: GatheredRead[int, int] = GatheredRead(through(server, read), 100)
    first = asyncio.create_task(gathered.get(0))
    await asyncio.sleep(0)
    value = 2
    assert await gathered.get(0) == 2
    assert await first in {1, 2}


async def test_a_failing_gathered_read_fails_all_who_wait_and_nobody_after(server: Server) -> None:
    broken = True

    def read(_db: Connection, keys: Sequence[int]) -> dict[int, int]:
        if broken:
            raise OperationalError("x", {}, ValueError("no"))
        return dict.fromkeys(keys, 1)

    gathered: GatheredRead[int, int] = GatheredRead(through(server, read), 100)
    outcomes = await asyncio.gather(gathered.get(1), gathered.get(2), return_exceptions=True)
    assert [type(one) for one in outcomes] == [OperationalError, OperationalError]
    broken = False
    assert await gathered.get(1) == 1


async def test_only_a_write_that_says_so_goes_without_the_disk(tmp_path: Path) -> None:
    writer = SqliteWriter(tmp_path / "x.db")

    def mode(connection: sqlite3.Connection) -> int:
        return int(connection.execute("PRAGMA synchronous").fetchone()[0])

    found = [await writer.run(mode, durable=durable) for durable in (True, False, False, True)]
    await writer.close()
    full, normal = 2, 1
    assert found == [full, normal, normal, full]


@pytest.mark.parametrize("durable", [True, False])
async def test_postgres_is_told_per_transaction(server: Server, durable: bool) -> None:
    if server.db.is_sqlite:
        pytest.skip("the writer's test is its own")
    show = "SHOW synchronous_commit"
    assert await server.db.write(lambda db: db.exec_driver_sql(show).scalar_one(), durable=durable) == (
        "on" if durable else "off"
    )
    assert await server.db.write(lambda db: db.exec_driver_sql(show).scalar_one()) == "on"
