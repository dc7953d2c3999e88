"""Linking a new device by a code: what it brings, and what a false server, a false code or a thief does not get."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from mensajeria.client import Client
from mensajeria.client.api import DeviceLinked, DeviceListChanged
from mensajeria.client.errors import InputError, RefusedError, SecurityError
from mensajeria.crypto.linking import VALID_MS, code_text, parse_code
from mensajeria.kit.clock import Clock, SystemClock
from mensajeria.kit.secrets import Secret
from tests.attacks.stage import PASSWORDS, Actor, Stage

pytestmark = pytest.mark.slow


async def link(stage: Stage, code: Secret | str, password: str = PASSWORDS["bruno"], **options: Any) -> Actor:
    """A new device of Bruno's, level with the server; its proof has left."""
    client = await Client.link(code, password, profile=stage.folder / "linked", insecure_key_file=True, **options)
    actor = Actor.watch(client)
    stage.actors.append(actor)
    await actor.online()
    await client.linked()
    return actor


def linked(actor: Actor) -> list[DeviceLinked]:
    return [event for event in actor.events if isinstance(event, DeviceLinked)]


async def test_a_linked_device_is_confirmed_and_reads_what_was_said_before(stage: Stage) -> None:
    bruno = await stage.open("bruno")
    code = await bruno.client.link_code()
    new = await link(stage, code.text, device_name="tableta")
    await bruno.until(lambda: linked(bruno), "linked")
    did = new.client._context.me.did
    assert (linked(bruno)[0].device.did, linked(bruno)[0].device.name) == (did, "tableta")
    assert [one.is_new for one in await bruno.client.devices()] == [False, False]
    await new.shows(stage.chat_id, "ana: hola", "bruno: qué tal")
    assert bruno.warnings() == new.warnings() == []


async def test_the_code_alone_opens_nothing(stage: Stage) -> None:
    bruno = await stage.open("bruno")
    code = await bruno.client.link_code()
    with pytest.raises(RefusedError) as refused:
        await Client.link(code.text, "otra contraseña 99", profile=stage.folder / "x", insecure_key_file=True)
    assert refused.value.code == "bad_credentials"
    assert not (stage.folder / "x").exists()
    assert len(await bruno.client.devices()) == 1


@pytest.mark.parametrize("field", ["server_id", "idfp", "uid"])
async def test_another_server_or_identity_than_the_codes_is_refused_and_nothing_is_added(
    stage: Stage, field: str, tmp_path: Path
) -> None:
    bruno = await stage.open("bruno")
    code = parse_code((await bruno.client.link_code()).text.reveal_text())
    other = msgspec.structs.replace(code, **{field: bytes(len(getattr(code, field)))})
    with pytest.raises(SecurityError) as refused:
        await Client.link(code_text(other), PASSWORDS["bruno"], profile=tmp_path / "x", insecure_key_file=True)
    assert refused.value.code == ("server_changed" if field == "server_id" else "identity_swapped")
    assert len(await bruno.client.devices()) == 1


async def test_a_device_that_knows_the_password_but_not_the_code_stays_new(stage: Stage) -> None:
    bruno = await stage.open("bruno")
    code = parse_code((await bruno.client.link_code()).text.reveal_text())
    guess = msgspec.structs.replace(code, secret=bytes(32))
    new = await link(stage, code_text(guess))
    await bruno.warned("link_refused")
    assert linked(bruno) == []
    told = [event for event in bruno.events if isinstance(event, DeviceListChanged)][-1]
    assert [one.did for one in told.added] == [new.client._context.me.did]
    assert {one.did: one.is_new for one in await bruno.client.devices()}[new.client._context.me.did]


async def test_a_code_is_good_once(stage: Stage) -> None:
    bruno = await stage.open("bruno")
    code = (await bruno.client.link_code()).text
    await link(stage, code)
    await bruno.until(lambda: linked(bruno), "linked")
    second = await Client.link(code, PASSWORDS["bruno"], profile=stage.folder / "second", insecure_key_file=True)
    actor = await Actor.watch(second).online()
    stage.actors.append(actor)
    await second.linked()
    await bruno.until(lambda: len([e for e in bruno.events if isinstance(e, DeviceListChanged)]) == 2, "two lists")
    assert len(linked(bruno)) == 1
    assert {one.did: one.is_new for one in await bruno.client.devices()}[second._context.me.did]


class Later(Clock):
    """A clock that can be set forward."""

    def __init__(self) -> None:
        self.by_ms = 0
        self._real = SystemClock()

    def now_ms(self) -> int:
        return self._real.now_ms() + self.by_ms

    def monotonic(self) -> float:
        return self._real.monotonic()


async def test_a_code_ends_after_ten_minutes(stage: Stage) -> None:
    bruno = await stage.open("bruno")
    code = (await bruno.client.link_code()).text
    clock = Later()
    clock.by_ms = VALID_MS + 1
    object.__setattr__(bruno.client._context.me, "clock", clock)
    await link(stage, code)
    await bruno.warned("link_refused")
    assert linked(bruno) == []


@pytest.mark.parametrize("text", ["", "hola", "mensajeria-link:AAAA"])
async def test_what_is_no_code_is_said_so(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError) as refused:
        await Client.link(text, PASSWORDS["bruno"], profile=tmp_path / "x", insecure_key_file=True)
    assert refused.value.code == "link_code_invalid"
