"""kill -9 at every point of sending, receiving, rotating, removing and restoring: nothing acked is lost, nothing comes
twice, no index of a session is used again, and whatever was half done is done or was never begun.

A story is run once to count its points, then once for each point. `make test` takes a few of them, spread over the
story and other ones every time; CHAOS_EXAMPLES above 50 (a nightly run) takes all, CHAOS_POINTS=3-40 those.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.attacks.stage import Actor
from tests.chaos.faults import Doom
from tests.chaos.people import Device
from tests.chaos.stories import STORIES, Story
from tests.chaos.world import PATIENCE_S, World

ALL_POINTS = int(os.environ.get("CHAOS_EXAMPLES", "50")) > 50
FEW = 4


async def told(people: Path, folder: Path, story: Story, at: int | None) -> int:
    """Tell the story, with its device's death at a point; how many points there were."""
    world = await World.begin(people, folder)
    try:
        victim = await story.prepare(world)
        doom = Doom(world, victim, at)
        if story.runs:
            await world.start(victim)
            await world.connected(victim)
            doom.attach(Actor(victim.client))
        elif not story.born:
            await world.start(victim, then=doom.attach)
        with doom.at_birth() if story.born else nullcontext():
            await _until_dead_or_done(story, world, victim, doom)
        count = doom.count
        await doom.bury()
        if story.born and not await asyncio.to_thread((victim.folder / "profile.json").exists):
            await world.log_in(victim)
        await world.heal()
        await world.check()
        return count
    finally:
        await world.end()
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _until_dead_or_done(story: Story, world: World, victim: Device, doom: Doom) -> None:
    """The story with its death; one that does not come in it (fewer points this time) comes right behind it."""
    work = asyncio.ensure_future(story.tell(world, victim))
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
    else:
        work.exception()


def chosen(points: int) -> range:
    """The points at which the device is killed this time."""
    if limits := os.environ.get("CHAOS_POINTS"):
        first, last = map(int, limits.split("-"))
        return range(first, min(last, points) + 1)
    if ALL_POINTS:
        return range(1, points + 1)
    step = max(1, points // FEW)
    return range(random.randint(1, step), points + 1, step)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.allow_log_errors("")
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
async def test_a_device_is_killed_at_every_point(people: Path, tmp_path: Path, story: Story) -> None:
    points = await told(people, tmp_path / "first", story, None)
    assert points > 10, "a story without points proves nothing"
    for at in chosen(points):
        try:
            await told(people, tmp_path / str(at), story, at)
        except BaseException as error:
            error.add_note(f"killed at point {at} of {points}")
            raise
