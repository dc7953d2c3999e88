"""PostgreSQL's disk is really full: what was acknowledged stays, and all goes on when there is room, with no restart.

The disk of its tables. test_full_wal.py has the one of its log, without which PostgreSQL itself stops.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from mensajeria.protocol.errors import Code
from mensajeria.protocol.frames import Ack, Events, Fetch, Nack
from mensajeria.server.readiness import FRESH_S
from tests.server.faults.disks import resize, small_disk
from tests.server.process import ServerProcess, World, start_server_process, stopping
from tests.server.realtime.device import Device, outer
from tests.support.postgres import PostgresServer

pytestmark = pytest.mark.slow
SMALL, LARGE = "32m", "128m"
SIZE = 60_000
MOST = 2000


@pytest.fixture
def disk(own_postgres: PostgresServer) -> Iterator[Path]:
    """A small disk that the database's user owns."""
    assert own_postgres.data is not None
    owner = own_postgres.data.stat()
    with small_disk(SMALL, (owner.st_uid, owner.st_gid)) as folder:
        yield folder


@pytest.fixture
def database(own_postgres: PostgresServer, disk: Path) -> Iterator[str]:
    """A database whose tables are on the small disk.

    Of a PostgreSQL that no other worker of the tests uses: for room in its memory it writes pages of any database.
    """
    name = "on_small_disk"
    own_postgres.execute(f"CREATE TABLESPACE {name} LOCATION '{disk}'")
    own_postgres.execute(f"CREATE DATABASE {name} TABLESPACE {name}")
    yield own_postgres.url_of(name)
    own_postgres.drop_database(name)
    own_postgres.execute(f"DROP TABLESPACE {name}")


@pytest.fixture
def server(database: str, tmp_path: Path) -> ServerProcess:
    with (tmp_path / "log").open("w") as log:
        return start_server_process(tmp_path / "data", database, log=log)


async def say(device: Device, chat_id: bytes, number: int) -> Ack | Nack:
    device.send(outer(chat_id, number, os.urandom(SIZE)))
    answer = await device.expect(Ack | Nack)  # type: ignore[arg-type]
    assert isinstance(answer, Ack | Nack)
    return answer


async def until_full(device: Device, chat_id: bytes) -> tuple[list[int], Nack]:
    """The rows that were acknowledged, and the first refusal."""
    stored: list[int] = []
    for number in range(1, MOST):
        answer = await say(device, chat_id, number)
        if isinstance(answer, Nack):
            return stored, answer
        stored.append(answer.seq)
    raise AssertionError("the disk is never full")


async def faults(server: ServerProcess) -> str:
    """What the server says that it lacks."""
    async with httpx.AsyncClient() as http:
        said = await http.get(f"http://127.0.0.1:{server.port}/readyz")
    return str(said.json()["detail"])


async def rows_of(device: Device, chat_id: bytes, until: int) -> list[int]:
    found: list[int] = []
    while not found or found[-1] < until:
        device.send(Fetch(1, chat_id, found[-1] if found else 0, 100))
        page = [event.seq for event in (await device.expect(Events)).events]
        if not page:
            break
        found += page
    return found


async def test_what_was_acknowledged_stays_and_there_is_no_restart_when_there_is_room(
    server: ServerProcess, disk: Path
) -> None:
    async with stopping(server):
        world = await World.of(server)
        ana, _, chat_id = await world.pair()
        device = await Device.online(world, ana)

        stored, refusal = await until_full(device, chat_id)
        assert refusal.code == Code.UNAVAILABLE
        for _ in range(2):
            assert await faults(server) == "database"
            await asyncio.sleep(FRESH_S)
        assert await rows_of(device, chat_id, stored[-1]) == stored

        await asyncio.to_thread(resize, disk, LARGE)
        deadline = time.monotonic() + 20
        while isinstance(answer := await say(device, chat_id, MOST), Nack):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)
        while await faults(server):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)

        assert await rows_of(device, chat_id, answer.seq) == [*stored, answer.seq]
        await device.disconnect()
        Device.opened.remove(device)
