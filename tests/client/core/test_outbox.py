"""Order, bounds and refusals of one chat's outbox."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import pytest

from mensajeria.client.core.outbox import MAX_STALE_ROUNDS, WINDOW, ChatOutbox, Continue, Effect, Fail, Pause, Refresh
from mensajeria.protocol.errors import Code

A, B, C = b"a" * 16, b"b" * 16, b"c" * 16


def sent(*mids: bytes) -> ChatOutbox:
    box = ChatOutbox()
    for mid in mids:
        box.sent(mid)
    return box


def test_the_window_is_bounded_and_an_ack_makes_room() -> None:
    box = sent(*(n.to_bytes(16, "big") for n in range(WINDOW)))
    assert box.room == 0
    assert box.acked((7).to_bytes(16, "big")) == [Continue()]
    assert box.room == 1


def test_acks_may_come_in_any_order() -> None:
    box = sent(A, B, C)
    for mid in (C, A, B):
        assert box.acked(mid) == [Continue()]
    assert box.room == WINDOW


@pytest.mark.parametrize("code", [Code.TOO_LARGE, Code.MID_CONFLICT, Code.UNKNOWN_CHAT, Code.FORBIDDEN, "of_tomorrow"])
def test_refused_for_good_fails_alone(code: str) -> None:
    box = sent(A, B)
    assert box.nacked(A, code, 0, 0.5) == [Fail(A, code), Continue()]
    assert box.is_in_flight(B)
    assert box.room == WINDOW - 1


def test_too_many_requests_to_a_stranger_fail_instead_of_blocking() -> None:
    assert sent(A).nacked(A, Code.REQUEST_LIMIT, 0, 0.5)[0] == Fail(A, Code.REQUEST_LIMIT)


def test_not_now_pauses_after_the_last_answer_in_flight() -> None:
    box = sent(A, B)
    assert box.nacked(A, Code.UNAVAILABLE, 0, 0.5) == []
    assert box.room == 0
    (pause,) = box.acked(B)
    assert isinstance(pause, Pause)
    assert 0.5 <= pause.seconds <= 1
    assert box.room == 0
    assert box.resumed() == [Continue()]
    assert box.room == WINDOW


def test_the_server_says_how_long_and_repeats_wait_longer() -> None:
    box = sent(A)
    assert box.nacked(A, Code.RATE_LIMITED, 9_000, 0.5) == [Pause(9.0)]
    waits = []
    for _ in range(6):
        box.resumed()
        box.sent(A)
        (pause,) = box.nacked(A, Code.UNAVAILABLE, 0, 0.0)
        assert isinstance(pause, Pause)
        waits.append(pause.seconds)
    assert waits == sorted(waits)
    assert waits[-1] > 10


def test_a_stale_epoch_rotates_once_for_the_whole_window() -> None:
    box = sent(A, B, C)
    assert box.nacked(A, Code.STALE_EPOCH, 0, 0.5) == []
    assert box.nacked(B, Code.STALE_EPOCH, 0, 0.5) == []
    assert box.nacked(C, Code.STALE_EPOCH, 0, 0.5) == [Refresh()]
    assert box.room == 0
    assert box.refreshed(moved=True) == [Continue()]
    assert box.room == WINDOW


def stale_rounds(box: ChatOutbox, *, moved: bool) -> Iterator[Effect]:
    """What comes of one message whose epoch is called stale again and again."""
    while True:
        box.sent(A)
        for effect in box.nacked(A, Code.STALE_EPOCH, 0, 0.5):
            yield effect
            if isinstance(effect, Refresh):
                box.refreshed(moved=moved)


def test_a_server_that_always_says_stale_is_given_up_on() -> None:
    effects = list(islice(stale_rounds(ChatOutbox(), moved=False), MAX_STALE_ROUNDS + 1))
    assert effects == [Refresh()] * MAX_STALE_ROUNDS + [Fail(A, Code.STALE_EPOCH)]


def test_a_message_in_a_busy_group_is_sealed_again_until_it_is_there() -> None:
    effects = list(islice(stale_rounds(ChatOutbox(), moved=True), 100))
    assert all(isinstance(effect, Refresh) for effect in effects)


def test_many_stale_rounds_in_a_row_become_slower() -> None:
    effects = islice(stale_rounds(ChatOutbox(), moved=True), 20)
    waits = [effect.seconds for effect in effects if isinstance(effect, Refresh)]
    assert waits[:MAX_STALE_ROUNDS] == [0.0] * MAX_STALE_ROUNDS
    assert waits[MAX_STALE_ROUNDS] > 0
    assert waits == sorted(waits)


def test_a_newer_epoch_ends_the_count_of_rounds_that_brought_none() -> None:
    box = ChatOutbox()
    for moved in 3 * [*(MAX_STALE_ROUNDS - 1) * [False], True]:
        box.sent(A)
        (effect,) = box.nacked(A, Code.STALE_EPOCH, 0, 0.5)
        assert isinstance(effect, Refresh)
        box.refreshed(moved=moved)


def test_an_ack_ends_the_count_of_stale_answers() -> None:
    box = ChatOutbox()
    for _ in range(3 * MAX_STALE_ROUNDS):
        box.sent(A)
        assert box.nacked(A, Code.STALE_EPOCH, 0, 0.5) == [Refresh()]
        box.refreshed(moved=False)
        box.sent(A)
        assert box.acked(A) == [Continue()]


def test_a_lost_connection_frees_the_window() -> None:
    box = sent(A, B)
    box.nacked(A, Code.UNAVAILABLE, 0, 0.5)
    box.disconnected()
    assert box.room == WINDOW
    assert not box.is_in_flight(B)
