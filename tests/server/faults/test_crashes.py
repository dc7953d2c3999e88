"""Parts are killed at random moments while people on two servers write to each other; then again, and again.

`MENSAJERIA_TEST_CRASHES=50 pytest tests/server/faults/test_crashes.py` is a night's run. A failed one is repeated with
the seed that pytest printed (`--randomly-seed`); the moments are the same, what the machine does meanwhile is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import pytest

from tests.server.faults.checks import HEALTHY_S, everybody_has_everything, nothing_lost_nothing_twice, two_and_two
from tests.server.faults.servers import Cluster, workers_of
from tests.support.postgres import PostgresServer
from tests.support.valkey import ValkeyServer

CRASHES: Final = int(os.environ.get("MENSAJERIA_TEST_CRASHES", "2"))
_log = logging.getLogger(__name__)
pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(120 + 30 * CRASHES)]
Crash = Callable[[], Awaitable[None]]
"""Kills a part; returns when it is back."""


@pytest.mark.parametrize("index", [0, 1])
async def test_a_server_is_killed(cluster: Cluster, index: int) -> None:
    await crashes(cluster, [partial(kill_server, cluster, index)])


async def test_a_worker_is_killed(cluster_of_workers: Cluster) -> None:
    await crashes(cluster_of_workers, [partial(kill_worker, cluster_of_workers)])


async def test_valkey_is_killed(cluster: Cluster, own_valkey: ValkeyServer) -> None:
    await crashes(cluster, [partial(kill_valkey, own_valkey)])


async def test_valkey_hangs_for_some_seconds(cluster: Cluster, own_valkey: ValkeyServer) -> None:
    """Nobody is told that it is away: it does not answer, and messages go on being accepted."""
    await crashes(cluster, [partial(hang_valkey, own_valkey)], rounds=1)


async def test_a_server_stands_still_for_some_seconds(cluster: Cluster) -> None:
    """The others give it up; when it goes on, it knows nothing of that, and what it says goes by what it knew."""
    await crashes(cluster, [partial(hang_server, cluster, 0)], rounds=1)


async def test_postgres_is_killed(cluster: Cluster, own_postgres: PostgresServer) -> None:
    await crashes(cluster, [partial(kill_postgres, own_postgres)])


async def test_any_two_parts_are_killed_in_any_order(
    cluster: Cluster, own_postgres: PostgresServer, own_valkey: ValkeyServer
) -> None:
    parts: list[Crash] = [
        partial(kill_server, cluster, 0),
        partial(kill_server, cluster, 1),
        partial(kill_valkey, own_valkey),
        partial(kill_postgres, own_postgres),
    ]
    await crashes(cluster, parts, at_once=2)


async def kill_server(cluster: Cluster, index: int) -> None:
    """The whole server; it is started again after a moment, as a service manager does until it succeeds."""
    await asyncio.to_thread(cluster.servers[index].kill)
    while True:
        await asyncio.sleep(random.uniform(0, 1))
        with contextlib.suppress(RuntimeError):  # the database is away, too: the start has failed
            return await cluster.start(index)


async def kill_worker(cluster: Cluster) -> None:
    """One of two; the supervisor starts another one."""
    before = await asyncio.to_thread(workers_of, cluster.servers[0])
    killed = random.choice(before)
    os.kill(killed, signal.SIGKILL)
    while True:
        now = await asyncio.to_thread(workers_of, cluster.servers[0])
        if len(now) == len(before) and killed not in now:
            return
        await asyncio.sleep(0.05)


async def kill_valkey(valkey: ValkeyServer) -> None:
    """Its watchdog starts it again."""
    os.kill(await asyncio.to_thread(valkey.pid), signal.SIGKILL)
    await asyncio.sleep(0.5)


async def hang_valkey(valkey: ValkeyServer) -> None:
    """It keeps its connections and does nothing."""
    await stand_still(await asyncio.to_thread(valkey.pid))


async def hang_server(cluster: Cluster, index: int) -> None:
    """As when its machine is paused."""
    await stand_still(cluster.servers[index].process.pid)


async def stand_still(pid: int) -> None:
    """Stop a process for a while."""
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(float(os.environ.get("MENSAJERIA_TEST_OUTAGE_S", "6")))
    finally:
        os.kill(pid, signal.SIGCONT)


async def kill_postgres(postgres: PostgresServer) -> None:
    """Without a chance to write anything; it recovers from its log."""
    await asyncio.to_thread(postgres.crash)


async def crashes(cluster: Cluster, parts: list[Crash], *, at_once: int = 1, rounds: int = CRASHES) -> None:
    """Everybody writes before, during and after each crash, and the crash comes at a random moment.

    After each return: within HEALTHY_S all servers are ready and everybody has an ack for and has read all that was
    written. At the end, by fresh eyes: nothing acked is lost, nothing is there twice, the order is the writers'.
    """
    members = await two_and_two(cluster)
    for number in range(rounds):
        for member in members:
            member.write(pause_s=0.01)
        await asyncio.sleep(random.uniform(0.3, 1.5))
        killed = random.sample(parts, at_once)
        await asyncio.gather(*(_at_a_random_moment(crash) for crash in killed))
        back = time.monotonic()
        await asyncio.sleep(random.uniform(0.5, 2))
        await cluster.ready(back + HEALTHY_S)
        took = await everybody_has_everything(members, back)
        _log.info(
            "crash %d: healthy %.1f s after the return; %d connects", number, took, sum(m.connects for m in members)
        )
    rows = await nothing_lost_nothing_twice(members, cluster.worlds[0])
    assert rows >= rounds * len(members)
    assert "[error" not in cluster.log()


async def _at_a_random_moment(crash: Crash) -> None:
    await asyncio.sleep(random.uniform(0, 0.5))
    await crash()
