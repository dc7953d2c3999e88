"""A newer program migrates the database while servers of the release before go on: all they know stays as it is."""

from __future__ import annotations

import asyncio
import time

import asyncpg
import pytest

from mensajeria.server.db.schema import metadata
from tests.server.faults.checks import everybody_has_everything, nothing_lost_nothing_twice, two_and_two
from tests.server.faults.servers import Cluster
from tests.support.postgres import dsn

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]


async def add_to_everything(cluster: Cluster) -> None:
    """One transaction, as a migration is: a column more in each table, and a number that no old program knows."""
    connection = await asyncpg.connect(dsn(cluster.database_url))
    try:
        async with connection.transaction():
            for table in metadata.sorted_tables:
                await connection.execute(f'ALTER TABLE "{table.name}" ADD COLUMN later integer NOT NULL DEFAULT 1')
            await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    finally:
        await connection.close()


async def test_people_write_on_and_nobody_is_sent_away(cluster: Cluster) -> None:
    members = await two_and_two(cluster)
    for member in members:
        member.write(pause_s=0.005)
    while not all(len(member.acked) > 50 for member in members):  # noqa: ASYNC110 - no event is set for it
        await asyncio.sleep(0.02)
    connects = [member.connects for member in members]

    await add_to_everything(cluster)

    before = [len(member.acked) for member in members]
    await cluster.ready(time.monotonic() + 2)
    while not all(len(member.acked) > count + 50 for member, count in zip(members, before, strict=True)):  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    await everybody_has_everything(members, time.monotonic())
    await nothing_lost_nothing_twice(members, cluster.worlds[0])
    assert [member.connects for member in members] == connects
    assert [member.nacks for member in members] == [0] * len(members)
    assert "[error" not in cluster.log()
