"""`serve --workers 2`: one port, one line, a worker that falls is started again, and one signal ends all."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mensajeria.protocol.errors import Close
from mensajeria.protocol.frames import Event
from mensajeria.server.settings import SettingsError, load_settings
from mensajeria.server.supervisor import BACKOFF_S, Supervisor
from tests.server.faults.servers import workers_of
from tests.server.process import ServerProcess, World, start_server_process
from tests.server.realtime.device import Device, outer
from tests.support.postgres import PostgresServer
from tests.support.valkey import ValkeyServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
def many(
    tmp_path: Path, own_postgres: PostgresServer, own_valkey: ValkeyServer, template: str
) -> Iterator[ServerProcess]:
    """A server of two workers."""
    url = own_postgres.create_database(f"workers_{os.urandom(6).hex()}", template=template)
    settings = {"MENSAJERIA_REDIS_URL": own_valkey.url, "MENSAJERIA_WORKERS": "2"}
    with (tmp_path / "log").open("w") as log:
        server = start_server_process(tmp_path / "data", url, log=log, settings=settings)
        yield server
        if server.process.poll() is None:
            assert server.stop() == 0, (tmp_path / "log").read_text()
        else:
            server.kill()  # closes what is left of it


async def spread(world: World) -> tuple[Device, Device, bytes]:
    """Two people who talk; which worker each has got is the kernel's choice."""
    ana, bruno, chat_id = await world.pair()
    return await Device.online(world, ana), await Device.online(world, bruno), chat_id


async def test_devices_of_any_worker_hear_each_other(many: ServerProcess) -> None:
    world = await World.of(many)
    assert len(workers_of(many)) == 2
    for _ in range(8):
        a, b, chat_id = await spread(world)
        a.send(outer(chat_id, 1))
        assert (await b.expect(Event)).chat_id == chat_id
        b.send(outer(chat_id, 2))
        await a.expect(Event)


async def test_a_device_that_connects_again_replaces_its_connection_on_any_worker(many: ServerProcess) -> None:
    world = await World.of(many)
    (ana,) = await world.people(1)
    connections = [await Device.online(world, ana) for _ in range(6)]
    for older in connections[:-1]:
        assert (await older.closed()).code == Close.REPLACED
    await connections[-1].ping()


async def test_a_worker_that_falls_is_started_again_and_the_other_serves_meanwhile(many: ServerProcess) -> None:
    world = await World.of(many)
    before = workers_of(many)
    os.kill(before[0], signal.SIGKILL)
    a, b, chat_id = await spread(world)
    a.send(outer(chat_id, 1))
    await b.expect(Event)
    deadline = time.monotonic() + 10
    while len(now := workers_of(many)) < 2 or before[0] in now:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    assert before[1] in now


async def test_one_signal_ends_all_after_the_devices_were_told(many: ServerProcess) -> None:
    world = await World.of(many)
    people = await world.people(4)
    devices = [await Device.online(world, one) for one in people]
    before = workers_of(many)
    many.terminate()
    for device in devices:
        assert (await device.closed()).code == Close.DRAIN
    assert await asyncio.to_thread(many.process.wait, 15) == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in before)


async def test_workers_do_not_outlive_a_parent_that_is_killed(many: ServerProcess) -> None:
    before = workers_of(many)
    await asyncio.to_thread(many.kill)
    deadline = time.monotonic() + 15
    while any(Path(f"/proc/{pid}").exists() for pid in before):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def test_more_than_one_worker_without_postgres_or_redis_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MENSAJERIA_WORKERS", "2")
    with pytest.raises(SettingsError, match="setting_needs_postgres"):
        load_settings()
    with pytest.raises(SettingsError, match="setting_needs_postgres"):
        load_settings(database_url="sqlite:///x.db", redis_url="redis://localhost")
    with pytest.raises(SettingsError, match="setting_needs_redis"):
        load_settings(database_url="postgresql://localhost/x")
    assert load_settings(database_url="postgresql://localhost/x", redis_url="redis://localhost").workers == 2


def _falls(*_arguments: object) -> None:
    raise RuntimeError


def test_a_worker_that_does_not_start_ends_the_start() -> None:
    began = time.monotonic()
    assert not Supervisor(2, _falls, ()).run(lambda: pytest.fail("never ready"))
    assert time.monotonic() - began < 20
    assert tuple(sorted(BACKOFF_S)) == BACKOFF_S
