"""Presence: off until a device shows itself, mutual, among those who have accepted each other; never stored."""

from __future__ import annotations

import httpx
from sqlalchemy import Connection, insert

from mensajeria.protocol.api import MAC_HEADER, rest_key, rest_mac
from mensajeria.protocol.frames import Presence, Sync, SyncPage
from mensajeria.protocol.ids import b64
from mensajeria.server.db.schema_content import block
from tests.server.people import Person, insert_device
from tests.server.process import World
from tests.server.realtime.device import Device

HERE, GONE = Presence(bytes(16), True), Presence(bytes(16), False)


async def shown(device: Device) -> tuple[bytes, bool]:
    """Who came or went, as the device hears it."""
    heard = await device.expect(Presence)
    return heard.uid, heard.on


async def obeyed(*devices: Device) -> None:
    """Wait until the server has done what the devices asked for, and they have what came of it."""
    for device in devices:  # requests are answered in their order
        device.send(Sync(1))
        await device.expect(SyncPage)
    for device in devices:
        await device.ping()


async def test_nobody_is_seen_who_does_not_show_themselves(world: World) -> None:
    ana, bruno, _ = await world.pair()
    a, b = await Device.online(world, ana), await Device.online(world, bruno)
    a.send(HERE)
    await obeyed(a, b)
    assert (a.items, b.items) == ([], [])


async def test_two_who_show_themselves_see_each_other_come_and_go(world: World) -> None:
    ana, bruno, _ = await world.pair()
    a, b = await Device.online(world, ana), await Device.online(world, bruno)
    a.send(HERE)
    await obeyed(a)
    b.send(HERE)
    assert await shown(a) == (bruno.uid, True)
    assert await shown(b) == (ana.uid, True)
    b.send(GONE)
    assert await shown(a) == (bruno.uid, False)
    b.send(HERE)
    assert await shown(a) == (bruno.uid, True)
    await b.disconnect()
    assert await shown(a) == (bruno.uid, False)


async def test_a_request_that_was_not_accepted_shows_nothing(world: World) -> None:
    ana, bruno, _ = await world.pair(accepted=False)
    a, b = await Device.online(world, ana), await Device.online(world, bruno)
    for device in (a, b):
        device.send(HERE)
    await obeyed(a, b)
    assert (a.items, b.items) == ([], [])


async def test_a_block_hides_each_from_the_other(world: World) -> None:
    ana, bruno, _ = await world.pair()

    def add(db: Connection) -> None:
        db.execute(insert(block).values(account=ana.account_id, blocked=bruno.account_id, created_ms=1))

    await world.server.db(add)
    a, b = await Device.online(world, ana), await Device.online(world, bruno)
    for device in (a, b):
        device.send(HERE)
    await obeyed(a, b)
    assert (a.items, b.items) == ([], [])


async def blocks(world: World, who: Person, whom: Person) -> None:
    """One blocks the other, as a client does it."""
    target = f"/v1/blocks/{b64(whom.uid)}"
    mac = rest_mac(rest_key(who.ck.reveal()), "PUT", target, b"", 1)
    headers = {"Authorization": f"Bearer {world.token(who)}", MAC_HEADER: mac}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{world.server.port}", trust_env=False) as http:
        assert (await http.put(target, headers=headers)).status_code == 204


async def test_a_block_hides_two_who_have_seen_each_other_for_good(world: World) -> None:
    ana, bruno, _ = await world.pair()
    second = await world.server.db(lambda db: insert_device(db, bruno.account_id, bruno.uid, world.sealer))
    a, b, phone = [await Device.online(world, who) for who in (ana, bruno, second)]
    for device in (a, b, phone):
        device.send(HERE)
        await obeyed(device)
    await obeyed(a, b, phone)
    for device in (a, b, phone):
        assert {one.on for one in device.items if isinstance(one, Presence)} == {True}
        device.items.clear()

    await blocks(world, ana, bruno)

    assert await shown(a) == (bruno.uid, False)
    assert [await shown(b), await shown(phone)] == [(ana.uid, False)] * 2
    await b.disconnect()  # the phone says that its user is still here: not to Ana
    phone.send(HERE)
    a.send(GONE)
    await obeyed(phone, a)
    assert (a.items, phone.items) == ([], [])


async def test_who_is_blocked_and_was_shown_nothing_hears_nothing(world: World) -> None:
    ana, bruno, _ = await world.pair()
    a, b = await Device.online(world, ana), await Device.online(world, bruno)
    b.send(HERE)
    await obeyed(b)

    await blocks(world, ana, bruno)

    await obeyed(a, b)
    assert (a.items, b.items) == ([], [])


async def test_a_user_is_here_while_one_of_their_devices_is(world: World) -> None:
    ana, bruno, _ = await world.pair()
    second = await world.server.db(lambda db: insert_device(db, bruno.account_id, bruno.uid, world.sealer))
    a, b, phone = [await Device.online(world, who) for who in (ana, bruno, second)]
    for device in (a, b, phone):
        device.send(HERE)
        await obeyed(device)
    assert [await shown(a), await shown(a)] == [(bruno.uid, True)] * 2
    await b.disconnect()
    await obeyed(phone, a)
    assert a.items == []
    await phone.disconnect()
    assert await shown(a) == (bruno.uid, False)


async def test_showing_oneself_over_and_over_is_not_passed_on_without_end(world: World) -> None:
    ana, bruno, _ = await world.pair()
    a, b = await Device.online(world, ana), await Device.online(world, bruno)
    a.send(HERE)
    await obeyed(a)
    for _ in range(60):
        b.send(HERE)
    await obeyed(b, a)
    assert 1 <= sum(isinstance(one, Presence) for one in a.items) <= 20
