"""Ana's group with Bruno and Carla, each at a desk of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from mensajeria.client.api import MessageKind, Trust
from mensajeria.client.engine.letters import Letter
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.sealing import Plan
from mensajeria.client.engine.trust import accept_identity
from mensajeria.client.engine.withheld import withheld_letters
from mensajeria.client.store import Tx
from mensajeria.protocol.ids import Uid
from tests.client.engine.circle import GroupDesk, Log, seated
from tests.client.engine.test_rows_and_sealing import queue
from tests.client.engine.world import Somebody


@pytest.fixture(scope="session")
def trio() -> tuple[Somebody, Somebody, Somebody]:
    return Somebody.make("ana"), Somebody.make("bruno"), Somebody.make("carla")


@pytest.fixture
def log(trio: tuple[Somebody, Somebody, Somebody]) -> Log:
    return Log.create(*trio)


@pytest.fixture
async def desks(
    trio: tuple[Somebody, Somebody, Somebody], log: Log, tmp_path: Path
) -> AsyncIterator[tuple[GroupDesk, GroupDesk, GroupDesk]]:
    async with AsyncExitStack() as stack:
        opened = [
            await stack.enter_async_context(seated(who, [one for one in trio if one is not who], log, tmp_path))
            for who in trio
        ]
        yield opened[0], opened[1], opened[2]


Desks = tuple[GroupDesk, GroupDesk, GroupDesk]


async def plan(desk: GroupDesk, log: Log, *texts: str, unusable: frozenset[Uid] = frozenset()) -> Plan:
    def step(tx: Tx, out: Outcome) -> Plan:
        queue(tx, desk, log.chat_id, texts)
        return desk.sealer.plan(tx, out, log.chat_id, 100, unusable)

    return await desk.do(step)


async def texts(desk: GroupDesk, log: Log) -> list[str]:
    page = await desk.store.read(lambda tx: tx.messages.page(log.chat_id))
    return [message.text for message in page.messages if message.kind is MessageKind.TEXT]


async def blocked(desk: GroupDesk, who: GroupDesk, *, yes: bool) -> None:
    """`who` has another identity than the one that was verified; or the person goes on with it."""

    def step(tx: Tx, out: Outcome) -> None:
        if yes:
            tx.contacts.set_trust(who.me.uid, Trust.CHANGED, sending_blocked=True)
        else:
            accept_identity(tx, out, desk.me, who.me.uid)

    await desk.do(step)


async def due(desk: GroupDesk) -> list[Letter]:
    return await desk.do(lambda tx, _: withheld_letters(tx, desk.me, desk.memberships))
