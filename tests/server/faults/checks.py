"""What must be true after every fault."""

from __future__ import annotations

import asyncio
import time

from mensajeria.protocol.errors import Close
from mensajeria.protocol.frames import Events, Fetch
from tests.server.faults.members import Member, mid_of
from tests.server.faults.servers import Cluster
from tests.server.people import insert_direct_chat
from tests.server.process import World
from tests.server.realtime.device import Closed, Device

HEALTHY_S = 10.0


async def two_and_two(cluster: Cluster) -> list[Member]:
    """Four people on the two servers in turn; each has a chat with each of the others."""
    world = cluster.worlds[0]
    people = await world.people(4)
    chats: dict[tuple[int, int], bytes] = {}
    for one in range(4):
        for other in range(one + 1, 4):
            _, chats[one, other] = await world.server.db(
                lambda db, a=people[one], b=people[other]: insert_direct_chat(db, world.facts.server_id, a, b)  # type: ignore[misc]
            )
    return [
        Member(cluster, index % len(cluster.servers), person, [chat for pair, chat in chats.items() if index in pair])
        for index, person in enumerate(people)
    ]


async def everybody_has_everything(members: list[Member], since: float) -> float:
    """After the end of writing: each has acked and read all within HEALTHY_S after `since`; how long it took."""
    for member in members:
        await member.stop_writing()
    while True:
        heads = {chat: max(len(m.read.get(chat, ())) for m in members) for member in members for chat in member.chats}
        if all(member.has_all(heads) for member in members):
            return time.monotonic() - since
        if time.monotonic() - since > HEALTHY_S:
            late = [(m.connects, len(m.sent), [heads[c] - len(m.read[c]) for c in m.chats]) for m in members]
            raise AssertionError(f"not healthy after {HEALTHY_S} s: (connects, not acked, not read) {late}")
        await asyncio.sleep(0.02)


async def nothing_lost_nothing_twice(members: list[Member], world: World) -> int:
    """Old state + pulled events = a fresh fetch, for everybody and every chat; all acked is in it. Returns the rows."""
    rows = 0
    for member in members:
        for chat in member.chats:
            fresh = await fetch_all(world, member, chat)
            assert member.read[chat] == fresh
            assert len(set(fresh)) == len(fresh)
            rows += len(fresh)
            if not member.nacks:  # else what was refused for now was sent again behind the others
                mine = set(member.written[chat])
                assert [mid for mid in fresh if mid in mine] == member.written[chat]
            acked = {mid: seq for mid, (where, seq) in member.acked.items() if where == chat}
            assert {mid: fresh.index(mid) + 1 for mid in acked} == acked
    return rows


async def fetch_all(world: World, member: Member, chat: bytes) -> list[bytes]:
    """The whole log, by another device's eyes: read from the start. Takes over the member's place.

    After an outage each connection is once told to come again: it does.
    """
    if member in Member.all:
        await member.stop()
    while True:
        try:
            return await _fetch_at_once(world, member, chat)
        except Closed as closed:
            if closed.code != Close.DRAIN:
                raise


async def _fetch_at_once(world: World, member: Member, chat: bytes) -> list[bytes]:
    device = await Device.online(world, member.person)
    found: list[bytes] = []
    try:
        while True:
            device.send(Fetch(1, chat, len(found), 500))
            page = await device.expect(Events)
            if not page.events:
                return found
            assert [one.seq for one in page.events] == list(range(len(found) + 1, len(found) + 1 + len(page.events)))
            found += map(mid_of, page.events)
    finally:
        await device.disconnect()
        Device.opened.remove(device)
