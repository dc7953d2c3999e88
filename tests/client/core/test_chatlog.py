"""Every row exactly once and in order, whatever the server pushes, repeats, withholds or mixes up."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from mensajeria.client.core.chatlog import (
    MAX_HELD,
    MAX_PASSED,
    MAX_USELESS_FETCHES,
    Apply,
    ChatLog,
    Effect,
    Fetch,
    Pass,
    Violation,
)
from mensajeria.protocol.frames import Event, EventKind

CHAT = b"c" * 32


def row(seq: int, chat: bytes = CHAT) -> Event:
    return Event(chat, seq, 0, EventKind.MESSAGE, b"%d" % seq)


def rows(first: int, last: int) -> tuple[Event, ...]:
    return tuple(row(seq) for seq in range(first, last + 1))


def applied(effects: Iterable[Effect]) -> list[int]:
    return [event.seq for effect in effects if isinstance(effect, Apply) for event in effect.events]


def test_the_next_row_is_applied_at_once() -> None:
    log = ChatLog(CHAT, position=4, last_seq=4)
    assert log.pushed(row(5)) == [Apply(CHAT, (row(5),))]
    assert log.level


def test_a_row_that_came_before_is_dropped() -> None:
    log = ChatLog(CHAT, position=4, last_seq=4)
    assert log.pushed(row(4)) == []
    log.pushed(row(5))
    assert log.pushed(row(5)) == []
    assert log._held == {}


def test_a_gap_starts_one_fetch_and_what_was_pushed_is_kept() -> None:
    log = ChatLog(CHAT, position=1, last_seq=1)
    assert log.pushed(row(4)) == [Fetch(CHAT, 1)]
    assert log.pushed(row(5)) == []
    assert not log.level
    assert applied(log.fetched(rows(2, 3), 5)) == [2, 3, 4, 5]
    assert log.level


def test_the_head_of_a_longer_log_is_fetched_page_by_page() -> None:
    log = ChatLog(CHAT)
    assert log.head(5) == [Fetch(CHAT, 0)]
    first = log.fetched(rows(1, 3), 5)
    assert applied(first) == [1, 2, 3]
    assert first[-1] == Fetch(CHAT, 3)
    assert applied(log.fetched(rows(4, 6), 6)) == [4, 5, 6]
    assert log.level


def test_an_own_ack_needs_no_fetch() -> None:
    log = ChatLog(CHAT, position=2, last_seq=2)
    assert log.own_acked(3) == []
    assert (log.position, log.level) == (3, True)
    assert log.pushed(row(3)) == []


def test_an_own_ack_before_the_peers_row_waits_for_it() -> None:
    log = ChatLog(CHAT, position=2, last_seq=2)
    assert log.own_acked(4) == [Fetch(CHAT, 2)]
    assert log.position == 2
    assert applied(log.pushed(row(3))) == [3]
    assert log.position == 4
    assert log.fetched(rows(3, 4), 4) == []


def test_a_log_that_became_shorter_is_a_violation() -> None:
    log = ChatLog(CHAT, position=9, last_seq=9)
    assert log.head(8) == [Violation(CHAT, "log_rolled_back")]
    assert log.fetched((), 8) == [Violation(CHAT, "log_rolled_back")]


def test_of_a_page_with_a_hole_what_stands_before_it_counts() -> None:
    log = ChatLog(CHAT)
    log.head(3)
    assert log.fetched((row(1), row(3)), 3) == [Apply(CHAT, (row(1),)), Fetch(CHAT, 1)]


def test_a_hole_is_asked_for_a_few_times_and_then_passed_over() -> None:
    log = ChatLog(CHAT, position=1, last_seq=1)
    assert log.head(5) == [Fetch(CHAT, 1)]
    for _ in range(MAX_USELESS_FETCHES - 1):
        assert log.fetched(rows(4, 5), 5) == [Violation(CHAT, "log_gap"), Fetch(CHAT, 1)]
    assert log.fetched(rows(4, 5), 5) == [Violation(CHAT, "log_gap"), Pass(CHAT, 2, 3), Apply(CHAT, rows(4, 5))]
    assert (log.position, log.level) == (5, True)


def test_what_was_pushed_or_acked_behind_a_hole_goes_on_although_nothing_is_served() -> None:
    for known in ("pushed", "own"):
        log = ChatLog(CHAT, position=1, last_seq=1)
        log.pushed(row(4)) if known == "pushed" else log.own_acked(4)
        while Pass(CHAT, 2, 3) not in (effects := log.fetched((), 4)):
            assert log.position == 1
            assert Fetch(CHAT, 1) in effects
        assert log.position == 4


def test_behind_a_hole_the_nearest_row_that_is_known_comes_next() -> None:
    log = ChatLog(CHAT, position=1, last_seq=1)
    effects = log.pushed(row(4))
    for _ in range(MAX_USELESS_FETCHES):
        assert log.position == 1
        effects = log.fetched(rows(7, 8), 8)
    assert effects[1:] == [Pass(CHAT, 2, 3), Apply(CHAT, (row(4),)), Fetch(CHAT, 4)]


def test_behind_the_next_hole_it_asks_as_often_again() -> None:
    log = ChatLog(CHAT, last_seq=6)
    log.fetching = True
    served = (row(2), row(3), row(6))
    asked = 0
    for passed in (Pass(CHAT, 1, 1), Pass(CHAT, 4, 5)):
        while passed not in (effects := log.fetched([one for one in served if one.seq > log.position], 6)):
            asked += any(isinstance(effect, Violation) for effect in effects)
    assert asked == 2 * (MAX_USELESS_FETCHES - 1)
    assert log.level


def test_whatever_is_answered_what_was_pushed_goes_on() -> None:
    for page in ((row(9), row(8)), (row(2, b"d" * 32),)):
        log = ChatLog(CHAT, position=1, last_seq=1)
        effects = log.pushed(row(4))
        for _ in range(MAX_USELESS_FETCHES):
            effects = log.fetched(page, 9)
        assert effects[:3] == [Violation(CHAT, "log_gap"), Pass(CHAT, 2, 3), Apply(CHAT, (row(4),))]
        assert log.last_seq == 9


def test_an_end_that_does_not_come_is_not_asked_for_again_by_whatever_else_comes() -> None:
    log = ChatLog(CHAT)
    log.head(9)
    useless(log)
    assert log.head(9) == []
    assert log.pushed(row(MAX_PASSED + 2)) == []


def test_an_end_that_does_not_come_is_passed_over_when_something_comes_behind_it() -> None:
    log = ChatLog(CHAT)
    log.head(9)
    useless(log)
    assert log.pushed(row(10)) == [Fetch(CHAT, 0)]
    assert not log.level
    effects = log.fetched((), 10)
    assert effects == [Violation(CHAT, "log_gap"), Pass(CHAT, 1, 9), Apply(CHAT, (row(10),))]
    assert log.level


def test_a_number_from_nowhere_moves_nobody_there() -> None:
    for size in (MAX_PASSED, MAX_PASSED + 1):
        log = ChatLog(CHAT)
        effects = log.pushed(row(size + 1))
        for _ in range(MAX_USELESS_FETCHES):
            effects = log.fetched((), size + 1)
        assert log.position == (size + 1 if size == MAX_PASSED else 0)
        assert (Pass(CHAT, 1, size) in effects) == (size == MAX_PASSED)


@given(st.sets(st.integers(1, 30)), st.integers(1, 7))
def test_whatever_is_kept_back_every_other_row_comes_once_in_order(hidden: set[int], page: int) -> None:
    log, seen, passed = ChatLog(CHAT), list[int](), set[int]()
    effects = log.head(31)
    while effects:
        asked = [effect.after for effect in effects if isinstance(effect, Fetch)]
        seen += applied(effects)
        for effect in effects:
            if isinstance(effect, Pass):
                passed |= set(range(effect.first, effect.upto + 1))
        served = [row(seq) for seq in range(asked[0] + 1, 32) if seq not in hidden][:page] if asked else []
        effects = log.fetched(served, 31) if asked else []
    assert seen == sorted(set(range(1, 32)) - hidden)
    assert passed == hidden


def test_pages_in_the_wrong_order_of_another_chat_or_empty_are_refused() -> None:
    for page in ((row(2), row(1)), (row(1), row(1)), (row(1, b"d" * 32),), rows(2, 3), ()):
        log = ChatLog(CHAT)
        log.head(3)
        assert log.fetched(page, 3)[0] == Violation(CHAT, "log_gap")
        assert log.position == 0


def test_what_is_held_is_bounded() -> None:
    log = ChatLog(CHAT)
    for seq in range(2, MAX_HELD + 500):
        log.pushed(row(seq))
    assert len(log._held) == MAX_HELD
    assert applied(log.fetched(rows(1, 1), MAX_HELD + 499)) == list(range(1, MAX_HELD + 2))
    assert not log.level


def test_a_lost_connection_lets_the_next_one_fetch() -> None:
    log = ChatLog(CHAT)
    log.head(2)
    log.disconnected()
    assert log.head(2) == [Fetch(CHAT, 0)]


@given(
    st.integers(1, 30),
    st.lists(st.tuples(st.sampled_from(["push", "ack", "answer"]), st.integers(1, 30)), max_size=80),
)
def test_any_interleaving_gives_every_row_once_in_order(length: int, moves: list[tuple[str, int]]) -> None:
    own = {seq for kind, seq in moves if kind == "ack" and seq <= length}
    log, seen, asked = ChatLog(CHAT), [0], [0]

    def take(effects: list[Effect]) -> None:
        for effect in effects:
            assert not isinstance(effect, Violation)
            if isinstance(effect, Fetch):
                asked.append(effect.after)
            elif isinstance(effect, Apply):
                seen.extend(event.seq for event in effect.events)

    for kind, seq in moves:
        if kind == "answer" and log.fetching:
            take(log.fetched(rows(asked[-1] + 1, min(asked[-1] + 7, length)), length))
        elif kind == "push" and seq <= length:
            take(log.pushed(row(seq)))
        elif kind == "ack" and seq <= length:
            take(log.own_acked(seq))
    take(log.head(length))
    while not log.level:
        take(log.fetched(rows(asked[-1] + 1, min(asked[-1] + 7, length)), length))
    assert log.position == length
    assert seen[1:] == sorted(set(seen[1:]))
    assert set(range(1, length + 1)) - set(seen) <= own


def test_a_log_that_ends_before_what_was_announced_is_not_asked_for_without_end() -> None:
    log = ChatLog(CHAT, position=2, last_seq=2)
    effects = log.head(1 << 40)
    asked = 0
    while any(isinstance(effect, Fetch) for effect in effects):
        asked += 1
        assert asked < 10
        effects = log.fetched((), 2)
    assert effects == [Violation(CHAT, "log_gap")]
    assert log.level


def test_a_log_that_ends_where_this_device_stands_is_level() -> None:
    log = ChatLog(CHAT, position=4, last_seq=4)
    assert log.head(4) == []
    assert log.level


def useless(log: ChatLog) -> int:
    """How often it asks again although nothing comes."""
    asked = 1
    while log.fetched((), log.last_seq) != [Violation(CHAT, "log_gap")]:
        asked += 1
    return asked


def test_a_good_page_begins_the_count_of_useless_ones_anew() -> None:
    log = ChatLog(CHAT)
    log.head(9)
    assert log.fetched((), 9) == [Violation(CHAT, "log_gap"), Fetch(CHAT, 0)]
    log.fetched(rows(1, 1), 9)
    assert useless(log) == MAX_USELESS_FETCHES


def test_a_new_connection_begins_the_count_of_useless_ones_anew() -> None:
    log = ChatLog(CHAT)
    log.head(9)
    assert useless(log) == MAX_USELESS_FETCHES
    log.disconnected()
    log.head(9)
    assert useless(log) == MAX_USELESS_FETCHES


def test_of_own_rows_that_were_passed_nothing_is_kept() -> None:
    log = ChatLog(CHAT, position=2, last_seq=2)
    log.own_acked(3)
    log.own_acked(3)
    log.own_acked(2)
    assert log._own == set()
