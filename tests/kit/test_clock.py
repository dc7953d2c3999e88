from __future__ import annotations

import time

import pytest

from mensajeria.kit.clock import Clock, FakeClock, SystemClock


def test_the_system_s_clock_tells_unix_milliseconds() -> None:
    clock: Clock = SystemClock()
    assert abs(clock.now_ms() - time.time() * 1000) < 1000
    assert clock.monotonic() <= clock.monotonic()


def test_a_fake_clock_moves_only_when_told() -> None:
    clock = FakeClock(1_000)
    assert (clock.now_ms(), clock.monotonic()) == (1_000, 0.0)
    clock.advance(1.5)
    assert (clock.now_ms(), clock.monotonic()) == (2_500, 1.5)


def test_its_wall_clock_can_go_back_without_the_monotonic_one() -> None:
    clock = FakeClock()
    clock.advance(3)
    clock.set_wall(5)
    assert (clock.now_ms(), clock.monotonic()) == (5, 3.0)
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-1)
