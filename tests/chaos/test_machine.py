"""Whatever happens to devices, network, clocks and server, in any order: afterwards everybody has everything, once.

`make test` tries 50 stories, ten in each of five tests that run side by side, the same ones every time; CHAOS_EXAMPLES
asks for other ones, and more of them (a nightly run: 500).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.chaos.people import PASSWORDS, Device
from tests.chaos.world import World

T = TypeVar("T")
PARTS = 5
EXAMPLES = max(1, int(os.environ.get("CHAOS_EXAMPLES", "50")) // PARTS)
people_names = st.sampled_from(sorted(PASSWORDS))
device_numbers = st.integers(0, 9)


class Machine(RuleBasedStateMachine):
    """Each rule lets one thing happen; the programs run on for as long as the rule takes."""

    snapshot: ClassVar[Path]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="chaos-"))
        self.world: World | None = None

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def device(self, number: int) -> Device:
        assert self.world is not None
        return self.world.devices[number % len(self.world.devices)]

    @initialize(away=st.sets(st.integers(0, 4), max_size=2))
    def begin(self, away: set[int]) -> None:
        self.world = self.do(World.begin(self.snapshot, self.folder / "world"))
        for number, device in enumerate(self.world.devices):
            if number not in away:
                self.do(self.world.start(device))

    @rule(number=device_numbers, to=people_names, count=st.integers(1, 3), pause=st.sampled_from((0.0, 0.02, 0.15)))
    def write(self, number: int, to: str, count: int, pause: float) -> None:
        assert self.world is not None
        self.do(self.world.write(self.device(number), to, count))
        self.do(self.world.let_time_pass(pause))

    @rule(numbers=st.lists(device_numbers, min_size=2, max_size=5), to=st.lists(people_names, min_size=5, max_size=5))
    def everybody_writes(self, numbers: list[int], to: list[str]) -> None:
        assert self.world is not None
        for number, person in zip(numbers, to, strict=False):
            self.do(self.world.write(self.device(number), person, 2))
        self.do(self.world.let_time_pass(0.03))

    @rule(number=device_numbers, to=people_names)
    def crash_while_writing(self, number: int, to: str) -> None:
        assert self.world is not None
        self.do(self.world.write(self.device(number), to, 5))
        self.do(self.world.crash(self.device(number)))
        self.do(self.world.start(self.device(number)))

    @rule(number=device_numbers, what=st.sampled_from(("edit", "delete", "react")), pause=st.sampled_from((0.0, 0.1)))
    def change_own(self, number: int, what: str, pause: float) -> None:
        assert self.world is not None
        self.do(self.world.change_own(self.device(number), what))
        self.do(self.world.let_time_pass(pause))

    @rule(number=st.integers(0, 1))
    def change_club(self, number: int) -> None:
        assert self.world is not None
        self.do(self.world.change_club(self.device(number)))

    @rule(number=device_numbers)
    def start(self, number: int) -> None:
        assert self.world is not None
        self.do(self.world.start(self.device(number)))

    @rule(number=device_numbers)
    def stop(self, number: int) -> None:
        assert self.world is not None
        self.do(self.world.stop(self.device(number)))

    @rule(number=device_numbers, again=st.booleans())
    def crash(self, number: int, again: bool) -> None:
        assert self.world is not None
        self.do(self.world.crash(self.device(number)))
        if again:
            self.do(self.world.start(self.device(number)))

    @rule(number=device_numbers)
    def keep_copy(self, number: int) -> None:
        assert self.world is not None
        self.do(self.world.keep_copy(self.device(number)))

    @rule(number=device_numbers, to=people_names, pause=st.sampled_from((0.0, 0.1)))
    def roll_back(self, number: int, to: str, pause: float) -> None:
        """To the copy that was kept before, else to one that is made now and left behind by what is written then."""
        assert self.world is not None
        device = self.device(number)
        if device.copy is None:
            self.do(self.world.keep_copy(device))
            self.do(self.world.write(device, to, 2))
            self.do(self.world.let_time_pass(pause))
        self.do(self.world.roll_back(device))
        self.do(self.world.start(device))

    @rule()
    def cut(self) -> None:
        assert self.world is not None
        self.world.evil.drop_connections()
        self.do(self.world.let_time_pass(0.02))

    @rule(lose=st.integers(0, 4), shuffle=st.integers(0, 4))
    def bad_weather(self, lose: int, shuffle: int) -> None:
        assert self.world is not None
        self.world.weather.lose, self.world.weather.shuffle = lose, shuffle

    @rule(number=device_numbers, hours=st.integers(-20, 20))
    def set_clock(self, number: int, hours: int) -> None:
        assert self.world is not None
        self.device(number).clock.offset_s = hours * 3600.0

    @rule(days=st.sampled_from((0.4, 1.1, 8.0)))
    def time_passes(self, days: float) -> None:
        assert self.world is not None
        self.world.clock.offset_s += days * 24 * 3600.0
        self.do(self.world.let_time_pass(0.05))

    @rule(person=people_names)
    def add_device(self, person: str) -> None:
        assert self.world is not None
        if len(self.world.devices) < 7:
            self.do(self.world.add_device(person))

    @rule(number=device_numbers)
    def remove_device(self, number: int) -> None:
        assert self.world is not None
        gone = self.device(number)
        for by in self.world.devices:
            if by.person == gone.person and by is not gone and by.actor is not None and not by.removed:
                self.do(self.world.remove_device(by, gone))
                return

    def teardown(self) -> None:
        try:
            if self.world is not None:
                try:
                    self.do(self.world.heal())
                    self.do(self.world.check())
                finally:
                    self.do(self.world.end())
        finally:
            self.runner.close()
            shutil.rmtree(self.folder, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.allow_log_errors("")
@pytest.mark.parametrize("part", range(PARTS))
def test_whatever_happens_everybody_has_everything_once(people: Path, part: int) -> None:
    Machine.snapshot = people
    if "CHAOS_EXAMPLES" not in os.environ:
        seed(part)(Machine)
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=14,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
            verbosity=Verbosity.verbose if os.environ.get("CHAOS_VERBOSE") else Verbosity.normal,
            phases=(Phase.explicit, Phase.reuse, Phase.generate),
        ),
    )
