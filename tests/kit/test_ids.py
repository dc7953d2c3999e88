from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

from mensajeria.kit.clock import FakeClock, SystemClock
from mensajeria.kit.ids import Uuid7Generator, random16, uuid7, uuid7_bytes, uuid7_str


def test_layout_is_rfc_9562_version_7() -> None:
    moment = 0x017F22E279B0  # the time of the example in RFC 9562, appendix A.6
    made = Uuid7Generator(FakeClock(moment))()
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == moment
    assert str(made).startswith("017f22e2-79b0-7")


def test_ids_ascend_within_one_millisecond_and_when_the_clock_goes_back() -> None:
    clock = FakeClock()
    generate = Uuid7Generator(clock)
    made = [generate() for _ in range(2000)]
    clock.set_wall(clock.now_ms() - 60_000)
    made += [generate() for _ in range(2000)]
    clock.advance(120)
    made.append(generate())
    assert made == sorted(made)
    assert [one.bytes for one in made] == sorted(one.bytes for one in made)
    assert len(set(made)) == len(made)


def test_a_used_up_counter_borrows_from_the_future() -> None:
    clock = FakeClock()
    generate = Uuid7Generator(clock)
    first = generate()
    generate._counter = (1 << 42) - 1
    second = generate()
    assert second > first
    assert second.int >> 80 == clock.now_ms() + 1


def test_a_time_outside_48_bits_does_not_break_the_layout() -> None:
    for moment in (-5, 1 << 60):
        assert Uuid7Generator(FakeClock(moment))().version == 7


def test_threads_share_a_generator() -> None:
    generate = Uuid7Generator()
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: generate(), range(4000)))
    assert len(set(made)) == 4000


def test_module_functions_agree_with_the_wall_clock() -> None:
    before = SystemClock().now_ms()
    made = [uuid7(), uuid.UUID(bytes=uuid7_bytes()), uuid.UUID(uuid7_str())]
    assert made == sorted(made)
    assert before <= made[0].int >> 80 <= SystemClock().now_ms()


def test_random_ids_are_16_bytes_and_differ() -> None:
    assert {len(random16()) for _ in range(100)} == {16}
    assert len({random16() for _ in range(100)}) == 100
