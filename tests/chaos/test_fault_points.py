"""kill -9 at every point of sending, receiving, rotating and removing: nothing acked is lost, nothing comes twice, no
index of a session is used again, and whatever was half done is done or was never begun.

A story is run once to count its points, then once for each point. `make test` takes a few of them, spread over the
story and other ones every time; CHAOS_EXAMPLES above 50 (a nightly run) takes all.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
from pathlib import Path

import pytest

from tests.chaos.faults import Doom, Story
from tests.chaos.world import DAY_S, PATIENCE_S, World

ALL_POINTS = int(os.environ.get("CHAOS_EXAMPLES", "50")) > 50
FEW = 7


async def send(world: World) -> None:
    """A message for which a new session must be made and handed to every device."""
    await world.write(world.device("ana", "laptop"), "bruno", 2)
    await world.sent(world.device("ana", "laptop"))


async def receive(world: World) -> None:
    """Catching up: keys from the mailbox, rows of the log."""
    await world.connected(world.device("ana", "laptop"))


async def rotate(world: World) -> None:
    """A device comes back after a week: its mailbox first, then new prekeys, then a message."""
    await world.connected(world.device("ana", "laptop"))
    await world.write(world.device("ana", "laptop"), "bruno", 1)
    await world.sent(world.device("ana", "laptop"))


async def remove(world: World) -> None:
    """A person removes another device, then writes."""
    await world.connected(world.device("ana", "laptop"))
    await world.remove_device(world.device("ana", "laptop"), world.device("ana", "phone"))
    await world.write(world.device("ana", "laptop"), "bruno", 1)
    await world.sent(world.device("ana", "laptop"))


async def told(people: Path, folder: Path, story: Story, at: int | None) -> int:
    """Tell the story, with the death of Ana's laptop at a point; how many points there were."""
    world = await World.begin(people, folder)
    try:
        ana = world.device("ana", "laptop")
        others = [device for device in world.devices if device is not ana]
        for device in others:
            await world.start(device)
        if story in {receive, rotate}:
            world.clock.offset_s += 8 * DAY_S if story is rotate else 0.4 * DAY_S
            for device in others:
                await world.connected(device)
            await world.write(world.device("bruno", "phone"), "ana", 3)
            await world.sent(world.device("bruno", "phone"))
            await world.write(world.device("carla", "laptop"), "ana", 1)
        else:
            world.clock.offset_s += 0.4 * DAY_S
            await world.start(ana)
            await world.connected(ana)
        doom = Doom(world, ana, at)
        if ana.actor is None:
            await world.start(ana, then=doom.attach)
        else:
            assert ana.actor is not None
            doom.attach(ana.actor)
        await _until_dead_or_done(story, world, doom)
        count = doom.count
        await doom.bury()
        await world.heal()
        await world.check()
        return count
    finally:
        await world.end()
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _until_dead_or_done(story: Story, world: World, doom: Doom) -> None:
    """The story with its death; one that does not come in it (fewer points this time) comes right behind it."""
    work = asyncio.ensure_future(story(world))
    death = asyncio.create_task(doom.happened.wait())
    await asyncio.wait({work, death}, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
    death.cancel()
    in_story = doom.dead
    await doom.strike()
    if not work.done():
        work.cancel()
        await asyncio.wait({work})
        world.never_taken()
        assert in_story, "the story does not end"
    elif not in_story:
        work.result()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.allow_log_errors("")
@pytest.mark.parametrize("story", [send, receive, rotate, remove], ids=lambda story: story.__name__)
async def test_a_device_is_killed_at_every_point(people: Path, tmp_path: Path, story: Story) -> None:
    points = await told(people, tmp_path / "first", story, None)
    assert points > 10, "a story without points proves nothing"
    chosen = range(1, points + 1)
    if not ALL_POINTS:
        step = max(1, points // FEW)
        chosen = range(random.randint(1, step), points + 1, step)
    for at in chosen:
        try:
            await told(people, tmp_path / str(at), story, at)
        except BaseException as error:
            error.add_note(f"killed at point {at} of {points}")
            raise
