"""One server alone: its PostgreSQL is killed under load, its SQLite finds no room."""

from __future__ import annotations

import asyncio
import random
import resource
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.server.faults.checks import everybody_has_everything, nothing_lost_nothing_twice, two_and_two
from tests.server.faults.members import Member
from tests.server.faults.servers import Cluster
from tests.support.postgres import PostgresServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


async def _ended(cluster: Cluster) -> None:
    for member in list(Member.all):
        await member.stop()
    await cluster.stop()


@pytest.fixture
async def with_postgres(tmp_path: Path, own_postgres: PostgresServer, template: str) -> AsyncIterator[Cluster]:
    url = await asyncio.to_thread(own_postgres.create_database, f"one_{secrets.token_hex(6)}", template=template)
    made = Cluster(tmp_path, url, None)
    await made.start()
    yield made
    await _ended(made)


@pytest.fixture
async def with_sqlite(tmp_path: Path) -> AsyncIterator[Cluster]:
    made = Cluster(tmp_path, f"sqlite:///{tmp_path / 'data' / 'mensajeria.db'}", None)
    await made.start()
    yield made
    await _ended(made)


async def test_postgres_is_killed_twice_under_load(with_postgres: Cluster, own_postgres: PostgresServer) -> None:
    members = await two_and_two(with_postgres)
    for member in members:
        member.write(pause_s=0.005)
    for _ in range(2):
        await asyncio.sleep(random.uniform(0.5, 1.5))
        await asyncio.to_thread(own_postgres.crash)
    back = time.monotonic()
    await asyncio.sleep(1)
    await everybody_has_everything(members, back)
    assert await nothing_lost_nothing_twice(members, with_postgres.worlds[0]) > 0
    assert "[error" not in with_postgres.log()


async def test_no_room_for_sqlite_is_told_loses_nothing_and_ends_when_there_is_room(with_sqlite: Cluster) -> None:
    """The server's files may not grow beyond what they have, as on a full disk; then they may again."""
    members = await two_and_two(with_sqlite)
    for member in members:
        member.write(pause_s=0.005)
    await asyncio.sleep(1)
    server = with_sqlite.servers[0]
    file = with_sqlite.folder / "data" / "mensajeria.db-wal"
    _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (file.stat().st_size + 20_000, hard))
    while not all(member.nacks for member in members):  # noqa: ASYNC110 - told each: this cannot be stored now
        await asyncio.sleep(0.05)
    acked = sum(len(member.acked) for member in members)
    await asyncio.sleep(1)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
    back = time.monotonic()
    await asyncio.sleep(1)
    await everybody_has_everything(members, back)
    assert sum(len(member.acked) for member in members) > acked
    assert await nothing_lost_nothing_twice(members, with_sqlite.worlds[0]) > 0
    assert [member.connects for member in members] == [1] * 4
    assert "log_unavailable" in with_sqlite.log()
    assert "[error" not in with_sqlite.log()
