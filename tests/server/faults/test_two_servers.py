"""Two servers, one PostgreSQL, one Valkey; people on both write to each other while parts are killed."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable

import pytest

from tests.server.faults.checks import everybody_has_everything, nothing_lost_nothing_twice, two_and_two
from tests.server.faults.servers import Cluster
from tests.support.postgres import PostgresServer
from tests.support.valkey import ValkeyServer

_log = logging.getLogger(__name__)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


async def test_people_on_two_servers_hear_each_other_and_catch_up_skips_nothing(cluster: Cluster) -> None:
    """Both servers commit at the same time while devices come and go: old state + pulled events = a fresh fetch."""
    members = await two_and_two(cluster)
    for member in members:
        member.write(300)
    for _ in range(12):
        await asyncio.sleep(random.uniform(0.02, 0.15))
        if (device := random.choice(members)._device) is not None:
            device.transport.disconnect(graceful=False)
    while any(sum(map(len, m.written.values())) < 300 for m in members):  # noqa: ASYNC110 - no event is set for it
        await asyncio.sleep(0.05)
    await everybody_has_everything(members, time.monotonic())
    assert await nothing_lost_nothing_twice(members, cluster.worlds[0]) == 4 * 300 * 2


@pytest.mark.parametrize("index", [0, 1])
async def test_a_server_is_killed(cluster: Cluster, index: int) -> None:
    async def kill() -> None:
        await asyncio.to_thread(cluster.servers[index].kill)
        await asyncio.sleep(random.uniform(0, 1))
        await cluster.start(index)

    await _under_traffic(cluster, kill)


async def test_valkey_is_killed(cluster: Cluster, own_valkey: ValkeyServer) -> None:
    async def kill() -> None:
        os.kill(await asyncio.to_thread(own_valkey.pid), signal.SIGKILL)
        await asyncio.sleep(0.5)  # its watchdog starts it again

    await _under_traffic(cluster, kill)


async def test_valkey_hangs_for_some_seconds(cluster: Cluster, own_valkey: ValkeyServer) -> None:
    """Nobody is told that it is away: it does not answer, and messages go on being accepted."""

    async def hang() -> None:
        pid = await asyncio.to_thread(own_valkey.pid)
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(float(os.environ.get("MENSAJERIA_TEST_OUTAGE_S", "6")))
        os.kill(pid, signal.SIGCONT)

    await _under_traffic(cluster, hang)


async def test_postgres_is_killed(cluster: Cluster, own_postgres: PostgresServer) -> None:
    async def crash() -> None:
        await asyncio.to_thread(own_postgres.crash)

    await _under_traffic(cluster, crash)


async def _under_traffic(cluster: Cluster, fault: Callable[[], Awaitable[None]]) -> None:
    """Everybody writes, also during the fault and after it. It happens at a random moment."""
    members = await two_and_two(cluster)
    for member in members:
        member.write(pause_s=0.01)
    await asyncio.sleep(random.uniform(0.5, 1.5))
    before = [member.connects for member in members]
    await fault()
    back = time.monotonic()
    await asyncio.sleep(2)
    took = await everybody_has_everything(members, back)
    rows = await nothing_lost_nothing_twice(members, cluster.worlds[0])
    connects = [member.connects for member in members]
    _log.info("healthy %.1f s after the return; %d rows; connects %s -> %s", took, rows, before, connects)
    assert rows > 0
    assert "[error" not in cluster.log()
