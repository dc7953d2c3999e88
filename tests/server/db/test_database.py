"""Reading and writing: one contract on both databases."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest
from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import QueuePool

from mensajeria.kit.clock import FakeClock
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.server.accounts.invites import DAY_MS, create_invite, use_invite
from mensajeria.server.db.engine import CONNECTIONS, normalise_url
from mensajeria.server.db.schema import kt_leaf, server_state
from mensajeria.server.state import Server
from mensajeria.server.transparency.log import append_leaf


def put(connection: Connection, key: str, value: bytes = b"") -> None:
    connection.execute(insert(server_state).values(key=key, value=value))


async def keys(server: Server) -> set[str]:
    async with server.db.read() as connection:
        return set((await connection.execute(select(server_state.c.key))).scalars())


async def test_write_is_all_or_nothing(server: Server) -> None:
    def half(connection: Connection) -> None:
        put(connection, "a")
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        await server.db.write(half)
    assert "a" not in await keys(server)

    await server.db.write(lambda connection: put(connection, "b"))
    assert "b" in await keys(server)


async def test_refused_statement_undoes_the_whole_write_and_the_next_one_works(server: Server) -> None:
    def twice(connection: Connection) -> None:
        put(connection, "c")
        put(connection, "c")

    with pytest.raises(IntegrityError):
        await server.db.write(twice)
    assert "c" not in await keys(server)
    await server.db.write(lambda connection: put(connection, "c"))


async def test_read_does_not_write(server: Server) -> None:
    with pytest.raises(DBAPIError):
        await server.db.query(lambda connection: put(connection, "d"))
    assert "d" not in await keys(server)


async def test_leaves_have_no_gap_however_many_write_at_once(server: Server) -> None:
    async def append(number: int) -> None:
        label = bytes([number % 4]) * 32
        await server.db.write(
            lambda connection: append_leaf(connection, label=label, ver=number, value_hash=bytes(32), now_ms=number)
        )

    async def fail(number: int) -> None:
        def broken(connection: Connection) -> None:
            append_leaf(connection, label=bytes(32), ver=1000 + number, value_hash=bytes(32), now_ms=1)
            raise ValueError("undone")

        with pytest.raises(ValueError, match="undone"):
            await server.db.write(broken)

    await asyncio.gather(*(append(number) for number in range(24)), *(fail(number) for number in range(6)))

    async with server.db.read() as connection:
        rows = (await connection.execute(select(kt_leaf).order_by(kt_leaf.c.idx))).all()
    assert [row.idx for row in rows] == list(range(24))
    newest: dict[bytes, int] = {}
    for row in rows:
        assert row.prev_idx == newest.get(row.label, -1)
        newest[row.label] = row.idx


async def test_last_use_of_an_invite_goes_to_one(server: Server, clock: FakeClock) -> None:
    now = clock.now_ms()
    _, token = await server.db.write(lambda c: create_invite(c, uses=3, expires_ms=now + DAY_MS, now_ms=now))

    outcomes = await asyncio.gather(
        *(server.db.write(lambda c: use_invite(c, token.reveal(), now)) for _ in range(10)), return_exceptions=True
    )

    assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 3
    assert {error.code for error in outcomes if isinstance(error, ProtocolError)} == {Code.INVITE_INVALID}


@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite://", "sqlite:///:memory:", "sqlite+aiosqlite://"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="SQLite"):
        normalise_url(url)


def test_urls_get_our_drivers() -> None:
    assert normalise_url("postgresql://u@h/d").drivername == "postgresql+asyncpg"
    assert normalise_url("postgresql+psycopg://u@h/d").drivername == "postgresql+asyncpg"
    assert normalise_url("sqlite:////tmp/x.db").drivername == "sqlite+aiosqlite"


@pytest.mark.quick
async def test_two_first_readers_share_one_engine(server: Server) -> None:
    if server.db.is_sqlite:
        made = await asyncio.gather(*(asyncio.to_thread(server.db._awaited_engine) for _ in range(8)))
        assert len(set(map(id, made))) == 1


async def test_a_process_opens_no_more_connections_than_the_operator_is_told(server: Server) -> None:
    if server.db._look_ups is None:
        return  # SQLite's are no matter of the operator's
    pools = [cast("QueuePool", pool) for pool in server.db.pools]
    marks, log = 1, 1
    lanes = len(server.db._look_ups._lanes) + marks + log
    assert sum(pool.size() + pool._max_overflow for pool in pools) + lanes == CONNECTIONS


async def test_who_was_overtaken_looks_again(server: Server) -> None:
    """Each saw nothing there and made it; the slower one is told what it would have been told a moment later."""
    if server.db.is_sqlite:
        pytest.skip("SQLite has one writer")
    looks = []

    def make(connection: Connection) -> bool:
        there = connection.execute(select(server_state.c.key).where(server_state.c.key == "e")).first() is not None
        looks.append(there)
        if not there:
            put(connection, "e")
        return not there

    async with server.db.read() as faster:  # a transaction; this one is committed by hand
        await faster.run_sync(lambda connection: put(connection, "e"))
        slower = asyncio.create_task(server.db.write(make))
        await asyncio.sleep(0.1)
        await faster.commit()
    assert await slower is False
    assert looks == [False, True]
