"""What one process must make known to the others: messages, envelopes, answers, typing, replaced and ended logins."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from itertools import count

import httpx
import pytest
from sqlalchemy import Connection, update

from mensajeria.protocol.api import MAC_HEADER, rest_key, rest_mac
from mensajeria.protocol.errors import Close
from mensajeria.protocol.frames import (
    Ack,
    Cursor,
    Envelope,
    Event,
    NewChat,
    PeerCursor,
    Presence,
    PutDevice,
    PutOutcome,
    PutResult,
    PutTarget,
    Sync,
    SyncPage,
    Typing,
)
from mensajeria.protocol.ids import b64
from mensajeria.server.db.schema import device as device_table
from tests.server.faults.servers import Cluster
from tests.server.people import PREKEY_ID, Person, insert_device
from tests.server.process import World
from tests.server.realtime.device import Device, outer
from tests.support.valkey import ValkeyServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
_counters = count(1)


@pytest.fixture(autouse=True)
async def no_socket_left() -> AsyncIterator[None]:
    yield
    while Device.opened:
        await Device.opened.pop().disconnect()


async def call(world: World, person: Person, method: str, target: str, json: object = None) -> httpx.Response:
    """One REST call to the world's own process."""
    body = b"" if json is None else httpx.Request("POST", "http://x", json=json).content
    headers = {
        "Authorization": f"Bearer {world.token(person)}",
        MAC_HEADER: rest_mac(rest_key(person.ck.reveal()), method, target, body, next(_counters)),
        "Content-Type": "application/json",
    }
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{world.server.port}") as http:
        return await http.request(method, target, content=body, headers=headers)


async def test_all_that_is_pushed_crosses(cluster: Cluster) -> None:
    one, other = cluster.worlds
    ana, bruno, chat_id = await one.pair()
    a, b = await Device.online(one, ana), await Device.online(other, bruno)
    a.send(outer(chat_id, 1))
    event, ack = await b.expect(Event), await a.expect(Ack)
    assert (event.chat_id, event.seq) == (ack.chat_id, ack.seq) == (chat_id, 1)
    b.send(Cursor(chat_id, 1))
    assert (await a.expect(PeerCursor)).seq == 1
    b.send(Typing(chat_id, bytes(16), True))
    assert (await a.expect(Typing)).uid == bruno.uid
    a.send(PutDevice(1, (PutTarget(bruno.did, PREKEY_ID, b"blob"),), 0))
    assert (await a.expect(PutResult)).outcomes == (PutOutcome.OK,)
    assert (await b.expect(Envelope)).blob == b"blob"


async def test_presence_crosses_and_ends_with_its_process(cluster: Cluster) -> None:
    one, other = cluster.worlds
    ana, bruno, _ = await one.pair()
    a, b = await Device.online(one, ana), await Device.online(other, bruno)
    again = await Device.online(one, await one.server.db(lambda db: _second(db, bruno, one)))
    for device in (a, b):
        device.send(Presence(bytes(16), True))
        device.send(Sync(1))
        await device.expect(SyncPage)  # requests are answered in their order
    assert (await a.expect(Presence)).uid == bruno.uid
    assert (await b.expect(Presence)).uid == ana.uid
    again.send(Presence(bytes(16), True))
    await a.expect(Presence, lambda told: told.on)
    b.send(Presence(bytes(16), False))
    await a.expect(Presence, lambda told: not told.on)
    await a.expect(Presence, lambda told: told.on)  # the device on the first process says that it is there
    await again.disconnect()
    await a.expect(Presence, lambda told: not told.on)


def _second(db: Connection, person: Person, world: World) -> Person:
    return insert_device(db, person.account_id, person.uid, world.sealer)


async def test_an_answer_on_one_changes_what_the_other_has_cached(cluster: Cluster) -> None:
    one, other = cluster.worlds
    ana, bruno, chat_id = await one.pair(accepted=False)
    a, b = await Device.online(one, ana), await Device.online(other, bruno)
    a.send(outer(chat_id, 1))
    await b.expect(Event)
    target = f"/v1/chats/{b64(chat_id)}/answer"
    assert (await call(other, bruno, "PUT", target, {"accept": False})).status_code == 204
    await asyncio.sleep(0.3)  # the note has arrived
    a.send(outer(chat_id, 2))
    await a.expect(Ack, lambda ack: ack.seq == 2)
    assert await b.is_quiet()  # who has declined hears nothing more
    assert (await call(other, bruno, "PUT", target, {"accept": True})).status_code == 204
    await a.expect(NewChat)
    a.send(outer(chat_id, 3))
    assert (await b.expect(Event)).seq == 3


async def test_a_device_that_connects_elsewhere_is_replaced(cluster: Cluster) -> None:
    one, other = cluster.worlds
    (ana,) = await one.people(1)
    first = await Device.online(one, ana)
    second = await Device.connect(other, ana)
    await second.welcome()
    await first.ping()  # a welcome alone changes nothing
    await second.ping()
    assert (await first.closed()).code == Close.REPLACED
    await second.ping()


async def test_a_login_that_ends_on_one_ends_on_the_other_at_once(cluster: Cluster) -> None:
    one, other = cluster.worlds
    (ana,) = await one.people(1)
    a = await Device.online(one, ana)
    assert (await call(one, ana, "GET", "/v1/chats")).status_code == 200  # now it is cached there
    began = time.monotonic()
    assert (await call(other, ana, "POST", "/v1/auth/logout")).status_code == 204
    closed = await a.closed()
    assert closed.code == Close.LOGIN_ENDED
    assert time.monotonic() - began < 1
    assert (await call(one, ana, "GET", "/v1/chats")).status_code == 401


async def test_while_valkey_is_away_ended_logins_end_all_the_same_and_people_stay_and_may_come(
    cluster: Cluster, own_valkey: ValkeyServer
) -> None:
    one, other = cluster.worlds
    ana, bruno, chat_id = await one.pair()
    a, b = await Device.online(one, ana), await Device.online(other, bruno)
    pid = await asyncio.to_thread(own_valkey.pid)
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(4)  # both have noticed
        a.send(outer(chat_id, 1))
        assert (await a.expect(Ack)).seq == 1
        (carla,) = await one.people(1)
        c = await Device.online(other, carla)
        revoke = update(device_table).where(device_table.c.id == bruno.device_id).values(revoked_ms=1)
        await one.server.db(lambda db: _run(db, revoke))
        assert (await b.closed()).code == Close.LOGIN_ENDED
        await c.ping()
        await a.ping()
    finally:
        os.kill(pid, signal.SIGCONT)
    assert (await a.closed()).code == Close.DRAIN  # once, to be sure that nothing was missed
    again = await Device.online(one, ana)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(again.closed(), 5)


def _run(db: Connection, statement: object) -> None:
    db.execute(statement)  # type: ignore[call-overload]
