"""Two servers, one PostgreSQL, one Valkey; people on both write to each other while connections are cut."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from tests.server.faults.checks import everybody_has_everything, nothing_lost_nothing_twice, two_and_two
from tests.server.faults.servers import Cluster

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
