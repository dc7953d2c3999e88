"""The frontier of a log from subtrees of every size: its root is the whole tree's after each of them."""

from __future__ import annotations

import hashlib
from itertools import product

import pytest

from mensajeria.client.core.keylog import Frontier
from mensajeria.kit.merkle import MerkleTree

TREE = MerkleTree([hashlib.sha256(bytes([number])).digest() for number in range(32)])


def grown(levels: tuple[int, ...]) -> Frontier:
    """Push full subtrees of these levels one behind the other; each root on the way is looked at."""
    frontier = Frontier()
    for level in levels:
        begin = frontier.size
        frontier.push(subtree(begin, level), level)
        assert frontier.size == begin + (1 << level)
        assert frontier.root() == TREE.root(frontier.size)
    return frontier


def subtree(begin: int, level: int) -> bytes:
    return TREE._range_hash(begin, begin + (1 << level))


@pytest.mark.parametrize(
    "levels", [(3, 2, 1, 0, 0, 4), (2, 1, 0, 0, 3), (0, 0, 1, 2, 3, 4), (4, 3, 2, 1, 1), (1, 0, 0, 2)]
)
def test_subtrees_of_falling_and_rising_levels_are_one_tree(levels: tuple[int, ...]) -> None:
    assert grown(levels).size == sum(1 << level for level in levels)


def test_a_subtree_that_would_not_stand_at_its_place_is_refused() -> None:
    """Every way of three steps: it is the tree, or the step that does not fit is refused and changes nothing."""
    for levels in product(range(3), repeat=3):
        frontier = Frontier()
        for level in levels:
            size, root = frontier.size, frontier.root()
            if size % (1 << level):
                with pytest.raises(ValueError, match="not at the end"):
                    frontier.push(bytes(32), level)
                assert (frontier.size, frontier.root()) == (size, root)
            else:
                frontier.push(subtree(size, level), level)
                assert frontier.root() == TREE.root(frontier.size)
