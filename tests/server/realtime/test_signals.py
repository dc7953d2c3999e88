"""What an operator's command does in another process, a running server acts upon: within two seconds, without Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, update

from mensajeria.protocol.errors import Close, Code
from mensajeria.server.accounts.signals import signal_ended
from mensajeria.server.admin import keys, users
from mensajeria.server.db.schema import device
from mensajeria.server.facts import StateError
from mensajeria.server.settings import Settings
from tests.server.process import ServerProcess, World
from tests.server.realtime.device import Device

NOTICED_S = 2.0


def settings_of(server: ServerProcess) -> Settings:
    return Settings.model_validate({"data_dir": server.data, "database_url": server.database_url})


@pytest.mark.parametrize("act", [users.log_out_user, users.suspend_user, users.delete_user])
async def test_connection_ends(server: ServerProcess, world: World, act: Callable[[Settings, str], None]) -> None:
    [ana] = await world.people(1)
    connected = await Device.online(world, ana)

    started = time.monotonic()
    await asyncio.to_thread(act, settings_of(server), ana.uid.hex())
    ended = await connected.closed()

    assert ended.code == Close.LOGIN_ENDED
    assert time.monotonic() - started < NOTICED_S + 1  # the command itself opens a database
    again = await Device.connect(world, ana)
    again.raw(again.channel.hello())
    assert (await again.closed()).code == Close.LOGIN_ENDED


async def test_note_of_an_earlier_login_that_comes_late_does_not_end_the_one_that_followed(
    server: ServerProcess, world: World
) -> None:
    ana, bruno = await world.people(2)
    connected, other = await Device.online(world, ana), await Device.online(world, bruno)
    now_ms = int(time.time() * 1000)

    def late(db: Connection) -> None:
        db.execute(update(device).where(device.c.id == bruno.device_id).values(ck_id=None, ck_sealed=None))
        signal_ended(db, [ana.device_id, bruno.device_id], Code.LOGIN_REVOKED, now_ms)

    await server.db(late)

    assert (await other.closed()).code == Close.LOGIN_ENDED
    await connected.ping()


@pytest.mark.slow
async def test_rotated_keys_are_taken_up_and_former_ones_still_accepted(own_server: ServerProcess) -> None:
    world = await World.of(own_server)
    [ana, bruno] = await world.people(2)
    connected = await Device.online(world, ana)

    await asyncio.to_thread(keys.rotate_token_key, settings_of(own_server))
    count = await asyncio.to_thread(keys.rotate_channel_key, settings_of(own_server))

    assert count >= 2
    await connected.ping()
    later = await Device.online(world, bruno)  # a token of the former key, a channel key sealed anew
    await later.ping()
    with pytest.raises(StateError, match="keys_just_rotated"):
        await asyncio.to_thread(keys.rotate_token_key, settings_of(own_server))
