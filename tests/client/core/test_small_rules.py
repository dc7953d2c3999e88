"""Receipts, the ladder of key requests, one-time keys."""

from __future__ import annotations

from mensajeria.client.core.ladder import (
    ASKED_AT_ONCE,
    DELAYS_MS,
    LOST_AFTER_MS,
    SILENCE_MS,
    Ask,
    GiveUp,
    NotYet,
    climb,
    window,
)
from mensajeria.client.core.prekeys import one_time_needed
from mensajeria.client.core.receipts import EVERY_S, ReadBatcher
from mensajeria.protocol import limits

A, B = b"a" * 32, b"b" * 32


def test_the_first_read_leaves_at_once_and_the_next_five_seconds_are_one_batch() -> None:
    batch = ReadBatcher()
    assert batch.mark(A, 3, 10.0) == 10.0
    assert batch.take(10.0) == {A: 3}
    assert batch.mark(A, 4, 11.0) == 10.0 + EVERY_S
    batch.mark(A, 6, 12.0)
    batch.mark(A, 5, 12.5)
    batch.mark(B, 1, 13.0)
    assert batch.take(14.0) == {}
    assert batch.take(15.0) == {A: 6, B: 1}
    assert batch.take(30.0) == {}


def test_the_ladder_asks_at_its_steps_and_gives_up_after_a_week_when_everybody_has_answered() -> None:
    first, step, due, now, asked = 1_000_000, 0, 1_000_000, 1_000_000, []
    while True:
        match climb(step, first, due, now, all_answered=True):
            case Ask(step=step, next_ms=due):
                asked.append(now - first)
            case NotYet():
                now = due
            case GiveUp():
                break
    assert tuple(asked[:5]) == DELAYS_MS
    assert now - first >= LOST_AFTER_MS
    assert 160 < len(asked) < 180


def test_the_ladder_after_a_long_sleep_asks_once_not_for_every_missed_step() -> None:
    ask = climb(1, 0, 5_000, 200_000, all_answered=False)
    assert ask == Ask(2, 200_000)
    assert climb(5, 0, 1, 10_000_000, all_answered=True) == Ask(6, 10_000_000 + DELAYS_MS[-1])


def test_a_source_that_never_answered_is_waited_for_as_long_as_a_question_lives() -> None:
    assert isinstance(climb(9, 0, LOST_AFTER_MS, LOST_AFTER_MS, all_answered=False), Ask)
    assert climb(9, 0, SILENCE_MS, SILENCE_MS, all_answered=False) == GiveUp()


def test_few_devices_are_asked_at_every_step_and_many_in_turn() -> None:
    few = [(1, bytes([n]) * 16) for n in range(ASKED_AT_ONCE)]
    assert sorted(window(few, A, 3)) == few
    many = [(1, n.to_bytes(16)) for n in range(5 * ASKED_AT_ONCE)]
    asked = [window(many, A, step) for step in range(5)]
    assert all(len(one) == ASKED_AT_ONCE for one in asked)
    assert sorted(device for one in asked for device in one) == many
    assert window(many, A, 5) == asked[0]
    assert window(many, A, 0) != window(many, B, 0)


def test_one_time_keys_are_refilled_to_the_target_below_the_threshold() -> None:
    assert one_time_needed(limits.OTK_REFILL_BELOW) == 0
    assert one_time_needed(limits.OTK_REFILL_BELOW - 1) == limits.OTK_TARGET - limits.OTK_REFILL_BELOW + 1
    assert one_time_needed(0) == limits.OTK_TARGET
