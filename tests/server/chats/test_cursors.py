"""How the steps of a flush are written: a few at a time, all of them in a few times."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mensajeria.server.chats.cursors import PART_MIN, PARTS, Step, newest, parts

_steps = st.lists(
    st.builds(Step, st.integers(1, 50), st.just(1), st.integers(1, 8), st.just(b"c"), st.integers(0, 9)), max_size=400
)


@given(_steps)
def test_parts_are_all_steps_in_their_order(steps: list[Step]) -> None:
    one_each = newest(steps)
    assert [step for part in parts(one_each) for step in part] == one_each


@given(_steps)
def test_parts_are_few_and_none_is_much_larger_than_another(steps: list[Step]) -> None:
    one_each = newest(steps)
    found = parts(one_each)
    assert len(found) <= PARTS
    assert all(len(part) <= max(PART_MIN, len(one_each) // PARTS + 1) for part in found)


@given(_steps)
def test_only_the_newest_step_of_a_device_in_a_chat_is_written(steps: list[Step]) -> None:
    best: dict[tuple[int, int], int] = {}
    for step in steps:
        best[step.chat, step.device] = max(best.get((step.chat, step.device), 0), step.seq)
    assert {(step.chat, step.device): step.seq for step in newest(steps)} == best
