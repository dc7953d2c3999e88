"""Servers start at once on an empty database, which each may migrate, and something happens in the middle of that.

The middle is where a table is made whose name somebody else is about to use: PostgreSQL waits to see whether they do.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import Connection, text

from mensajeria.server.db.revision import head_revision
from tests.server.faults.checks import HEALTHY_S
from tests.server.faults.conftest import running
from tests.server.faults.servers import Cluster, processes_of
from tests.server.process import START_S
from tests.support.postgres import PostgresServer, dsn
from tests.support.valkey import ValkeyServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]
IN_THE_WAY = "CREATE TABLE file (other integer)"
WAITING = "SELECT wait_event FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock' ORDER BY wait_event"
MIGRATING, ITS_TURN = "transactionid", "advisory"


@pytest.fixture
async def empty(tmp_path: Path, own_postgres: PostgresServer, own_valkey: ValkeyServer) -> AsyncIterator[Cluster]:
    """No server yet, and nothing in their database."""
    url = await asyncio.to_thread(own_postgres.create_database, f"starts_{secrets.token_hex(6)}")
    made = Cluster(tmp_path, url, own_valkey.url)
    try:
        async with running(made, 0):
            yield made
    finally:
        for pid in await asyncio.to_thread(processes_of, made):  # what a failed test has left
            os.kill(pid, signal.SIGKILL)


@contextlib.asynccontextmanager
async def name_in_use(cluster: Cluster) -> AsyncIterator[None]:
    """Somebody is about to use the name, and at the end has not."""
    connection = await asyncpg.connect(dsn(cluster.database_url))
    try:
        await connection.execute("BEGIN")
        await connection.execute(IN_THE_WAY)
        yield
    finally:
        await connection.close()


async def until(postgres: PostgresServer, cluster: Cluster, *expected: str) -> None:
    """Wait until the database's connections wait for these."""
    connection = await asyncpg.connect(dsn(postgres.url))
    try:
        name = cluster.database_url.rsplit("/", 1)[1]
        while [row[0] for row in await connection.fetch(WAITING, name)] != list(expected):  # noqa: ASYNC110 - no event is set for it
            await asyncio.sleep(0.02)
    finally:
        await connection.close()


async def is_made_once(cluster: Cluster, servers: int) -> None:
    """All are ready, the schema is at the head, and they are one server to their clients."""
    await cluster.ready(time.monotonic() + HEALTHY_S)
    revisions = await cluster.servers[0].db(_revisions, write=False)
    assert revisions == [await asyncio.to_thread(head_revision)]
    assert len(cluster.worlds) == servers
    assert len({world.facts.server_id for world in cluster.worlds}) == 1


def _revisions(db: Connection) -> list[str]:
    return list(db.execute(text("SELECT version_num FROM alembic_version")).scalars())


async def tables(cluster: Cluster) -> list[str]:
    """What the database has."""
    connection = await asyncpg.connect(dsn(cluster.database_url))
    try:
        return [row[0] for row in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    finally:
        await connection.close()


async def test_postgres_is_killed_in_the_middle(empty: Cluster, own_postgres: PostgresServer) -> None:
    """Both starts fail, and nothing is there; a service manager starts both again, and they find one whole schema."""
    async with name_in_use(empty):
        starts = [asyncio.create_task(empty.start()) for _ in range(2)]
        await until(own_postgres, empty, ITS_TURN, MIGRATING)
        await asyncio.to_thread(own_postgres.crash)
    failures = await asyncio.gather(*starts, return_exceptions=True)
    assert [type(failure) for failure in failures] == [RuntimeError] * 2
    assert await tables(empty) == []
    await asyncio.gather(empty.start(), empty.start())
    await is_made_once(empty, 2)


async def test_the_one_that_migrates_stands_still(empty: Cluster, own_postgres: PostgresServer) -> None:
    """Its transaction is given up for it, and the other one takes its turn."""
    async with name_in_use(empty):
        first = asyncio.create_task(empty.start())
        await until(own_postgres, empty, MIGRATING)
        stopped = await asyncio.to_thread(processes_of, empty)
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        other = asyncio.create_task(empty.start())
        await until(own_postgres, empty, ITS_TURN, MIGRATING)
    async with asyncio.timeout(START_S):  # it is not for hours
        await other
    await is_made_once(empty, 1)
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    with pytest.raises(RuntimeError):
        await first
    await empty.start()
    await is_made_once(empty, 2)
