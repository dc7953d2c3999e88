"""The disk of PostgreSQL's write-ahead log is really full: PostgreSQL stops, and cannot start until there is room.

What was acknowledged is there then, and the server heals with no restart of its own.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import asyncpg
import pytest

from tests.server.faults.checks import HEALTHY_S, everybody_has_everything, nothing_lost_nothing_twice, two_and_two
from tests.server.faults.conftest import running
from tests.server.faults.disks import resize, small_disk
from tests.server.faults.members import Member
from tests.server.faults.servers import Cluster
from tests.server.fixtures import migrate_in_a_process
from tests.support.lifeline import Lifeline
from tests.support.postgres import PostgresServer, postgres_is_available, server_user, start_postgres

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]
ROOM = "128m"
KEEPS_ALL = {"max_wal_size": "1GB", "checkpoint_timeout": "1h"}
"""No checkpoint frees what has been written, as with a spare that is away and must not miss anything."""


@pytest.fixture
def disk() -> Iterator[Path]:
    if not postgres_is_available():
        pytest.skip("no PostgreSQL binaries for this system")
    with small_disk(ROOM, server_user() or (0, 0)) as folder:
        yield folder


@pytest.fixture
def postgres(disk: Path) -> Iterator[PostgresServer]:
    """One whose log is on the disk."""
    (disk / "wal").mkdir(mode=0o700)
    shutil.chown(disk / "wal", *(server_user() or (0, 0)))
    with Lifeline() as run:
        yield start_postgres(run, settings=KEEPS_ALL, wal=disk / "wal")


@pytest.fixture
async def alone(postgres: PostgresServer, tmp_path: Path) -> AsyncIterator[Cluster]:
    url = await asyncio.to_thread(postgres.create_database, "full")
    await asyncio.to_thread(migrate_in_a_process, url)
    async with running(Cluster(tmp_path, url, None), 1) as made:
        yield made


def readiness(cluster: Cluster) -> tuple[int, str]:
    """What /readyz says: the status, and what is wrong."""
    try:
        with urlopen(f"http://127.0.0.1:{cluster.servers[0].port}/readyz", timeout=5) as answer:
            return answer.status, json.load(answer)["detail"]
    except HTTPError as error:
        with error:
            return error.code, json.load(error)["detail"]


async def all_are_refused(members: list[Member]) -> int:
    """Wait until each was told that something cannot be stored now; how many messages were acknowledged before."""
    while not all(member.nacks for member in members):  # noqa: ASYNC110 - no event is set for it
        await asyncio.sleep(0.05)
    return sum(len(member.acked) for member in members)


async def is_back(postgres: PostgresServer) -> float:
    while True:
        with suppress(OSError, asyncpg.PostgresError):
            await asyncio.to_thread(postgres.execute, "SELECT 1")
            return time.monotonic()
        await asyncio.sleep(0.02)


async def test_what_was_acknowledged_stays_and_all_goes_on_when_there_is_room(
    alone: Cluster, postgres: PostgresServer, disk: Path
) -> None:
    members = await two_and_two(alone)
    for member in members:
        member.write(pause_s=0.001)
    while not all(member.acked for member in members):  # noqa: ASYNC110 - no event is set for it
        await asyncio.sleep(0.02)
    used = (await asyncio.to_thread(shutil.disk_usage, disk)).used
    await asyncio.to_thread(resize, disk, f"{used}")

    acked = await all_are_refused(members)
    assert await asyncio.to_thread(readiness, alone) == (503, "database")
    assert sum(len(member.acked) for member in members) == acked

    await asyncio.to_thread(resize, disk, ROOM)
    back = await is_back(postgres)
    await alone.ready(back + HEALTHY_S)
    await everybody_has_everything(members, back)
    assert sum(len(member.acked) for member in members) > acked
    assert await nothing_lost_nothing_twice(members, alone.worlds[0]) > acked
    assert "log_unavailable" in alone.log()
    assert "[error" not in alone.log()
