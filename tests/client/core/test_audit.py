"""A whole key log held against every head that was seen of it: which leaf or head convicts it, and of what."""

from __future__ import annotations

import msgspec
import pytest

from mensajeria.client.core import keylog as core
from mensajeria.client.core.audit import SeenHead, Violation, Walk
from mensajeria.client.core.keylog import Verdict, contradicts, is_stale, judge_head
from mensajeria.kit.merkle import EMPTY_ROOT, MerkleTree, leaf_hash
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.records import Signed, TransparencyLeaf, TreeHead
from mensajeria.protocol.transparency import HEAD_FRESH_MS


def leaf(label: int, ver: int, previous: int = -1) -> bytes:
    value = bytes([label, ver]) * 16
    return encode(TransparencyLeaf(label=bytes([label]) * 32, ver=ver, value_hash=value, prev_idx=previous, ts=1))


LEAVES = [leaf(1, 1), leaf(2, 1), leaf(1, 2, 0), leaf(2, 3, 1)]


def root(size: int, leaves: list[bytes] = LEAVES) -> bytes:
    tree = MerkleTree()
    for one in leaves[:size]:
        tree.append(leaf_hash(one))
    return tree.root()


def head(of: int, **changes: object) -> TreeHead:
    whole = TreeHead(log_id=b"l" * 32, size=of, root=root(of), ts=1000 + of, restore_epoch=1)
    return msgspec.structs.replace(whole, **changes)


def seen(one: TreeHead, *, own: bool = True) -> SeenHead:
    return SeenHead(one, Signed(encode(one), bytes(64)), own)


def walked(*heads: SeenHead, leaves: list[bytes] = LEAVES, end: TreeHead | None = None) -> Walk:
    walk = Walk(end or head(len(leaves), root=root(len(leaves), leaves)), heads)
    for one in leaves:
        walk.add(one)
    walk.finish()
    return walk


def test_an_honest_log_is_found_so_and_every_head_is_checked() -> None:
    walk = walked(*[seen(head(size), own=size % 2 == 0) for size in range(5)])
    assert (walk.violations, walk.checked, walk.size) == ([], 5, 4)


@pytest.mark.parametrize(("own", "code"), [(True, core.REWRITTEN), (False, core.FORKED)])
@pytest.mark.parametrize("size", [0, 2, 4])
def test_another_root_of_a_size_that_was_seen_convicts(own: bool, code: str, size: int) -> None:
    convicting = seen(head(size, root=b"x" * 32), own=own)
    walk = walked(seen(head(1)), convicting, seen(head(3)))
    assert walk.violations == [Violation(code, f"another root at {size}", convicting)]
    assert walk.checked == 3


def test_an_own_longer_head_is_a_roll_back() -> None:
    longer = seen(head(4, size=9))
    assert walked(longer).violations == [Violation(core.ROLLED_BACK, "smaller than it was shown", longer)]


def test_anothers_longer_head_convicts_only_if_it_was_signed_before() -> None:
    later, earlier = seen(head(4, size=9, ts=2000), own=False), seen(head(4, size=9, ts=1), own=False)
    assert walked(later).violations == []
    assert walked(earlier).violations == [Violation(core.FORKED, "smaller than it was shown", earlier)]


def test_a_head_of_a_later_epoch_convicts_and_one_of_an_earlier_does_not() -> None:
    before, after = seen(head(2, restore_epoch=0, root=b"x" * 32)), seen(head(2, restore_epoch=2))
    walk = walked(before, after)
    assert walk.violations == [Violation(core.ROLLED_BACK, "an earlier epoch", after)]
    assert walk.checked == 0


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (b"\x00", core.FORGED),
        (leaf(1, 2), core.FORGED),
        (leaf(1, 2, 1), core.FORGED),
        (leaf(1, 1, 0), core.SECOND_VALUE),
        (leaf(3, 1, 0), core.FORGED),
    ],
)
def test_a_leaf_that_cannot_follow_is_named(bad: bytes, code: str) -> None:
    assert walked(leaves=[LEAVES[0], LEAVES[1], bad]).violations == [Violation(code, "leaf 2")]


def test_after_a_bad_leaf_the_newest_one_of_its_label_counts() -> None:
    assert walked(leaves=[LEAVES[0], leaf(1, 2), leaf(1, 3, 1)]).violations == [Violation(core.FORGED, "leaf 1")]


@pytest.mark.parametrize("changes", [{"root": b"x" * 32}, {"size": 5}])
def test_other_leaves_than_the_heads_convict(changes: dict[str, object]) -> None:
    walk = walked(end=head(4, **changes))
    assert walk.violations == [Violation(core.REWRITTEN, "the leaves are not those of the head")]


def test_an_empty_log_is_honest() -> None:
    assert walked(leaves=[], end=head(0, root=EMPTY_ROOT)).violations == []


# --- heads beside each other


def test_the_same_epoch_is_no_restore() -> None:
    assert judge_head(head(2), head(3)) is Verdict.GROWN
    assert judge_head(head(2), head(2)) is Verdict.SAME
    assert judge_head(head(3), head(2, restore_epoch=2)) is Verdict.RESTORED


def test_two_heads_of_one_moment_do_not_contradict_by_their_time() -> None:
    assert not contradicts(head(4, ts=7), head(2, ts=7), None)
    assert contradicts(head(4, ts=6), head(2, ts=7), None)


def test_a_head_is_stale_after_a_day() -> None:
    assert [is_stale(head(1, ts=0), HEAD_FRESH_MS + more) for more in (-1, 0, 1)] == [False, False, True]
