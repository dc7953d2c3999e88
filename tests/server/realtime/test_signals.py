"""What an operator's command does in another process, a running server acts upon: within two seconds, without Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from mensajeria.protocol.errors import Close
from mensajeria.server.admin import keys, users
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
    device = await Device.online(world, ana)

    started = time.monotonic()
    await asyncio.to_thread(act, settings_of(server), ana.uid.hex())
    ended = await device.closed()

    assert ended.code == Close.LOGIN_ENDED
    assert time.monotonic() - started < NOTICED_S + 1  # the command itself opens a database
    again = await Device.connect(world, ana)
    again.raw(again.channel.hello())
    assert (await again.closed()).code == Close.LOGIN_ENDED


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
    with pytest.raises(StateError, match="less than ten minutes"):
        await asyncio.to_thread(keys.rotate_token_key, settings_of(own_server))
