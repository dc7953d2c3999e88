"""Receipts, the ladder of key requests, gaps, one-time keys."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mensajeria.client.core.gaps import missing_at_end, missing_before
from mensajeria.client.core.ladder import DELAYS_MS, LOST_AFTER_MS, Ask, GiveUp, NotYet, climb
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


def test_the_ladder_asks_at_its_steps_and_gives_up_after_a_week() -> None:
    first, step, due, now, asked = 1_000_000, 0, 1_000_000, 1_000_000, []
    while True:
        match climb(step, first, due, now):
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
    ask = climb(1, 0, 5_000, 200_000)
    assert ask == Ask(2, 200_000)
    assert climb(5, 0, 1, 10_000_000) == Ask(6, 10_000_000 + DELAYS_MS[-1])


@given(st.integers(0, 50), st.integers(0, 60), st.frozensets(st.integers(0, 60)))
def test_missing_are_exactly_the_indexes_neither_seen_nor_void(next_idx: int, idx: int, void: frozenset[int]) -> None:
    assert missing_before(next_idx, idx, void) == len(set(range(next_idx, idx)) - void)


def test_an_ended_session_is_missing_what_its_author_saw_acked() -> None:
    assert missing_at_end(next_idx=4, last_acked=6, void={5}) == 2
    assert missing_at_end(next_idx=7, last_acked=6, void=()) == 0


def test_a_huge_jump_is_counted_without_being_walked() -> None:
    assert missing_before(0, 2**32 - 1, ()) == 2**32 - 1


def test_one_time_keys_are_refilled_to_the_target_below_the_threshold() -> None:
    assert one_time_needed(limits.OTK_REFILL_BELOW) == 0
    assert one_time_needed(limits.OTK_REFILL_BELOW - 1) == limits.OTK_TARGET - limits.OTK_REFILL_BELOW + 1
    assert one_time_needed(0) == limits.OTK_TARGET
