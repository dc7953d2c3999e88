"""Single stories that a machine's run has found, told again on purpose."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

import pytest

from mensajeria.client.errors import StateError
from mensajeria.protocol.frames import Event, EventKind
from tests.attacks.evil import Rule
from tests.chaos.people import CLUB, DAY_S
from tests.chaos.truth import CANARY
from tests.chaos.world import PATIENCE_S, World


class _HidesEvents(Rule):
    """Membership events are not pushed to one person; whoever fetches the log gets them."""

    def __init__(self, uid: bytes) -> None:
        self._uid = uid

    def event(self, to: bytes, event: Event) -> Iterable[Event]:
        if to != self._uid or event.kind is not EventKind.MEMBER:
            yield event


@pytest.mark.slow
async def test_what_was_written_before_its_author_heard_of_a_new_member_is_readable_for_them(
    people: Path, tmp_path: Path
) -> None:
    world = await World.begin(people, tmp_path / "world")
    try:
        ana, bruno, carla = (world.device(person, "laptop") for person in ("ana", "bruno", "carla"))
        for device in (ana, bruno, carla):
            await world.start(device)
            await world.connected(device)
        await world.change_club(ana)
        await world.write(bruno, "bruno", 1)  # under a session that Carla has no part in
        await world.sent(bruno)
        world.evil.rule = _HidesEvents(bytes(bruno.client.me.uid))
        await world.change_club(ana)
        await world.write(bruno, "bruno", 1)
        world.evil.rule = world.weather
        late = next(text for text in world.written if text.endswith(f" {world.count}"))
        assert carla.actor is not None
        await carla.actor.shows(world.chats[CLUB], f"bruno: {late}")
        assert CANARY in late
    finally:
        await world.end()


@pytest.mark.slow
async def test_a_copy_that_nothing_shows_to_be_one_uses_no_pairwise_session_again(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Put back twice, each time before the key backup has the session, while nobody else is there to have its key."""
    monkeypatch.setattr("mensajeria.client.engine.backup.GATHER_S", PATIENCE_S)
    world = await World.begin(people, tmp_path / "world")
    try:
        ana = world.device("ana", "laptop")
        await world.start(ana)
        await world.connected(ana)
        for _ in range(2):
            await world.keep_copy(ana)
            await world.write(ana, "carla", 1)
            await world.sent(ana)
            await world.roll_back(ana)
            await world.start(ana)
            with pytest.raises(StateError, match="rolled_back"):
                await world.connected(ana)
            await world.level(ana)
        monkeypatch.undo()
        await world.heal()
        await world.check()
    finally:
        await world.end()


@pytest.mark.slow
async def test_a_copy_whose_login_has_ended_comes_back_as_a_new_device(people: Path, tmp_path: Path) -> None:
    world = await World.begin(people, tmp_path / "world")
    try:
        ana = world.device("ana", "laptop")
        await world.start(ana)
        await world.connected(ana)
        await world.keep_copy(ana)
        world.clock.offset_s += DAY_S
        world.evil.drop_connections()
        await world.write(ana, "carla", 1)
        await world.sent(ana)
        did = ana.client._context.me.did
        await world.roll_back(ana)
        world.clock.offset_s += DAY_S
        await world.start(ana)
        with pytest.raises(StateError, match="login_"):
            await world.connected(ana)
        await world.level(ana)
        assert ana.client._context.me.did != did
        await world.heal()
        await world.check()
    finally:
        await world.end()


@pytest.mark.slow
async def test_a_new_device_knows_what_groups_are_called(people: Path, tmp_path: Path) -> None:
    world = await World.begin(people, tmp_path / "world")
    try:
        await world.start(world.device("carla", "laptop"))
        await world.connected(world.device("carla", "laptop"))
        await world.add_device("carla")
        new = world.devices[-1]
        await world.connected(new)
        assert new.actor is not None
        club = new.client.chat(world.chats[CLUB])
        for _ in range(500):
            if (await club.view()).name == "Club":
                break
            await asyncio.sleep(0.02)
        assert (await club.view()).name == "Club"
    finally:
        await world.end()
