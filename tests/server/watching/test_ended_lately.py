"""Which logins have ended since a moment: exactly, as far as is remembered, and in doubt any."""

from __future__ import annotations

from mensajeria.server.realtime.ended_lately import EndedLately


def test_an_end_counts_for_who_began_before_it_alone() -> None:
    ended = EndedLately()
    before = ended.now
    ended.add([7])

    assert ended.since(before, 7)
    assert not ended.since(before, 8)
    assert not ended.since(ended.now, 7)


def test_of_more_than_it_remembers_any_may_have_ended() -> None:
    ended = EndedLately(entries=2)
    before = ended.now
    ended.add([1])
    after_the_first = ended.now
    ended.add([2])
    ended.add([3])

    assert ended.since(before, 1)
    assert ended.since(before, 9)
    assert not ended.since(after_the_first, 9)
    assert ended.since(after_the_first, 3)


def test_lost_news_counts_for_everybody_who_began_before() -> None:
    ended = EndedLately()
    before = ended.now
    ended.add_unknown()

    assert ended.since(before, 1)
    assert not ended.since(ended.now, 1)
