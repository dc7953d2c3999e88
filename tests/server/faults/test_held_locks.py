"""A server that stands still in the middle of a transaction holds the others up for some seconds, and loses nothing.

As when its machine is paused, cut off or gone: its connections stay, and nobody tells PostgreSQL.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeAlias

import asyncpg
import pytest

from tests.server.faults.checks import HEALTHY_S, everybody_has_everything, nothing_lost_nothing_twice, two_and_two
from tests.server.faults.members import Member
from tests.server.faults.servers import Cluster
from tests.support.postgres import dsn

pytestmark = [pytest.mark.slow, pytest.mark.timeout(45)]
Operator: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
MEMBER = (
    "SELECT 1 FROM chat_member m JOIN chat c ON c.id = m.chat WHERE c.chat_id = $1 AND m.account = $2 FOR UPDATE OF m"
)
WAITS = """SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'mensajeria-log'
AND wait_event_type = 'Lock' AND query LIKE 'UPDATE chat_member%'"""
STATE = "SELECT state FROM pg_stat_activity WHERE pid = $1"


@asynccontextmanager
async def operator_of(cluster: Cluster) -> AsyncIterator[Operator]:
    connection = await asyncpg.connect(dsn(cluster.database_url))
    try:
        yield connection
    finally:
        await connection.close()


async def request_between(cluster: Cluster) -> tuple[Member, Member, bytes]:
    """Who has answered a request, on the first server, and who has made it, on the second; nobody has written yet."""
    asks, answers, chat = await cluster.worlds[0].pair(accepted=False)
    return Member(cluster, 0, answers, [chat]), Member(cluster, 1, asks, [chat]), chat


@asynccontextmanager
async def caught_in_a_transaction(
    cluster: Cluster, operator: Operator, watcher: Operator, member: Member
) -> AsyncIterator[None]:
    """The member's server stands still in the transaction that stores an answer, with its batch's chats locked.

    Storing it takes two statements. The second one waits for a row of ours until the server is stopped.
    """
    process = cluster.servers[0].process
    async with operator.transaction():
        assert await operator.fetchval(MEMBER, *member.chats, member.person.account_id) == 1
        member.write(1)
        while (caught := await watcher.fetchval(WAITS)) is None:  # noqa: ASYNC110 - no event is set for it
            await asyncio.sleep(0.02)
        os.kill(process.pid, signal.SIGSTOP)
    try:
        while await watcher.fetchval(STATE, caught) != "idle in transaction":  # noqa: ASYNC110 - no event is set for it
            await asyncio.sleep(0.02)
        yield
        assert await watcher.fetchval(STATE, caught) is None
    finally:
        os.kill(process.pid, signal.SIGCONT)


async def acked_anew(members: list[Member], until: float) -> None:
    """Each writes one more message, and all that they have written is acked."""
    for member in members:
        member.write(1)
    while any(member.sent for member in members) or not all(member.acked for member in members):
        assert time.monotonic() < until, [len(member.sent) for member in members]
        await asyncio.sleep(0.02)


async def test_the_others_go_on_within_the_promised_time(cluster: Cluster) -> None:
    members = await two_and_two(cluster)
    answers, asks, chat = await request_between(cluster)
    for member in members:
        member.write(pause_s=0.01)
    async with operator_of(cluster) as operator, operator_of(cluster) as watcher:
        while not all(member.acked for member in members) or not answers.connects:  # noqa: ASYNC110 - no event for it
            await asyncio.sleep(0.02)
        async with caught_in_a_transaction(cluster, operator, watcher, answers):
            began = time.monotonic()
            for member in members:
                await member.stop_writing()
            await acked_anew([asks, members[1], members[3]], began + HEALTHY_S)
    back = time.monotonic()
    await cluster.ready(back + HEALTHY_S)
    await everybody_has_everything([*members, answers, asks], back)
    assert await nothing_lost_nothing_twice([*members, answers, asks], cluster.worlds[0])
    assert len(answers.read[chat]) == 2
    assert "[error" not in cluster.log()
