"""The rules of the key log without a log: roots, leaves, heads."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import pytest

from mensajeria.client.core import keylog as core
from mensajeria.client.core.keylog import Frontier, LogViolationError, Newest, Verdict
from mensajeria.client.store import Tx
from mensajeria.client.store.keylog import Claim, Evidence
from mensajeria.kit.merkle import EMPTY_ROOT, MerkleTree, leaf_hash
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.ids import Did, Uid
from mensajeria.protocol.records import Signed, TransparencyLeaf, TreeHead
from tests.client.blank import blank_store

HASHES = [hashlib.sha256(bytes([n & 255, n >> 8])).digest() for n in range(600)]
HEAD = TreeHead(log_id=b"l" * 32, size=10, root=b"r" * 32, ts=1000, restore_epoch=1)


NO_PREDECESSOR = "key_log_forged: does not name its predecessor"


def changed(**fields: object) -> TreeHead:
    return msgspec.structs.replace(HEAD, **fields)


def leaf(**fields: object) -> bytes:
    base = TransparencyLeaf(label=b"a" * 32, ver=3, value_hash=b"v" * 32, prev_idx=7, ts=1)
    return encode(msgspec.structs.replace(base, **fields))


def test_a_frontier_has_the_root_of_the_tree() -> None:
    frontier, tree = Frontier(), MerkleTree()
    assert frontier.root() == EMPTY_ROOT
    for one in HASHES[:130]:
        frontier.push(one)
        tree.append(one)
        assert frontier.root() == tree.root()


def test_a_frontier_of_blocks_is_that_of_their_leaves() -> None:
    blocks, leaves = Frontier(), Frontier()
    for start in (0, core.BLOCK):
        block = Frontier()
        for one in HASHES[start : start + core.BLOCK]:
            block.push(one)
            leaves.push(one)
        blocks.push(block.root(), core.BLOCK_LEVEL)
    assert blocks.root() == leaves.root()
    leaves.push(HASHES[0])
    with pytest.raises(ValueError, match="subtree"):
        leaves.push(HASHES[0], 1)


def test_a_leaf_names_its_predecessor_and_goes_on_from_it() -> None:
    known = Newest(7, 2, b"x" * 32)
    core.check_leaf(core.read_leaf(leaf()), known)
    core.check_leaf(core.read_leaf(leaf(prev_idx=-1)), None)


@pytest.mark.parametrize(
    ("encoded", "known", "said"),
    [
        (leaf(), None, NO_PREDECESSOR),
        (leaf(prev_idx=-1), Newest(7, 2, b""), NO_PREDECESSOR),
        (leaf(prev_idx=6), Newest(7, 2, b""), NO_PREDECESSOR),
        (leaf(), Newest(7, 3, b""), "key_log_second_value: a version that was logged before"),
        (leaf(), Newest(7, 4, b""), "key_log_second_value: a version that was logged before"),
        (leaf()[:-1], Newest(7, 2, b""), "key_log_forged: not a leaf"),
        (b"", None, "key_log_forged: not a leaf"),
    ],
)
def test_a_leaf_that_cannot_follow_is_a_violation(encoded: bytes, known: Newest | None, said: str) -> None:
    with pytest.raises(LogViolationError) as caught:
        core.check_leaf(core.read_leaf(encoded), known)
    assert str(caught.value) == said
    assert said.startswith(f"{caught.value.code}: ")


@pytest.mark.parametrize(
    ("head", "verdict"),
    [
        (HEAD, Verdict.SAME),
        (changed(size=11, root=b"s" * 32), Verdict.GROWN),
        (changed(restore_epoch=2, size=3), Verdict.RESTORED),
    ],
)
def test_heads_that_may_follow(head: TreeHead, verdict: Verdict) -> None:
    assert core.judge_head(HEAD, head) is verdict
    assert core.judge_head(None, head) is Verdict.GROWN


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (changed(size=9), "key_log_rolled_back: smaller than before"),
        (changed(restore_epoch=0, size=99), "key_log_rolled_back: an earlier epoch"),
        (changed(root=b"s" * 32), "key_log_forked: two roots of one size"),
    ],
)
def test_heads_that_may_not_follow(head: TreeHead, said: str) -> None:
    with pytest.raises(LogViolationError) as caught:
        core.judge_head(HEAD, head)
    assert str(caught.value) == said


def test_two_heads_contradict_each_other_by_root_or_by_time() -> None:
    assert core.contradicts(HEAD, HEAD, b"other" + bytes(27))
    assert not core.contradicts(HEAD, HEAD, HEAD.root)
    ahead = changed(size=20)
    assert not core.contradicts(changed(size=20, ts=1001), HEAD, None)
    assert core.contradicts(msgspec.structs.replace(ahead, ts=999), HEAD, None)
    assert not core.contradicts(changed(restore_epoch=2), HEAD, b"other" + bytes(27))


def test_a_head_is_stale_after_a_day() -> None:
    day = 24 * 3600 * 1000
    assert not core.is_stale(HEAD, HEAD.ts + day)
    assert core.is_stale(HEAD, HEAD.ts + day + 1)


async def test_the_mirror_knows_the_root_at_every_size(tmp_path: Path) -> None:
    tree, roots = MerkleTree(), [EMPTY_ROOT]
    async with await blank_store(tmp_path / "s.db") as store:

        def fill(tx: Tx) -> None:
            for index in range(core.BLOCK * 2 + 3):
                label = bytes([index % 7]) * 32
                one = leaf(label=label, prev_idx=max(-1, index - 7), ver=index // 7 + 1)
                read = core.read_leaf(one)
                core.check_leaf(read, tx.key_log.newest(label))
                tx.key_log.append(index, read, leaf_hash(one))
                tree.append(leaf_hash(one))
                roots.append(tree.root())

        await store.run(fill)
        sizes = (0, 1, 255, 256, 257, 300, 512, 515)
        found = await store.read(lambda tx: [tx.key_log.root_at(size) for size in sizes])
        assert found == [roots[size] for size in sizes]
        assert await store.read(lambda tx: tx.key_log.root_at(516)) is None
        assert await store.read(lambda tx: tx.key_log.newest(b"\x03" * 32)) == Newest(514, 74, b"v" * 32)
        await store.run(lambda tx: tx.key_log.cut(257))
        assert await store.read(lambda tx: (tx.key_log.size(), tx.key_log.root_at(257))) == (257, roots[257])


async def test_claims_heads_and_evidence_are_kept(tmp_path: Path) -> None:
    signed, other = Signed(b"head", b"s" * 64), Signed(b"other", b"t" * 64)
    claim = Claim(Uid(b"u" * 16), Did(b"d" * 16), 3, b"r" * 32)
    evidence = Evidence(core.FORKED, signed, other, 5)
    async with await blank_store(tmp_path / "s.db") as store:

        def fill(tx: Tx) -> list[object]:
            for size in range(1, 100):
                tx.key_log.put_head(1, size, signed, size)
            tx.key_log.put_claim(claim)
            first, again = tx.key_log.put_evidence(evidence), tx.key_log.put_evidence(evidence)
            return [first, again, tx.key_log.head(), tx.key_log.head_at(36), tx.key_log.head_at(35)]

        assert await store.run(fill) == [True, False, (signed, 99), signed, None]
        assert await store.read(lambda tx: (tx.key_log.claims(), tx.key_log.evidence())) == ((claim,), (evidence,))
        await store.run(lambda tx: tx.key_log.remove_claim(claim.did))
        assert await store.read(lambda tx: tx.key_log.claims()) == ()


def test_behind_a_restore_stands_only_what_was_made_since() -> None:
    seen = changed(ts=1_000_000)
    core.check_after_restore(core.read_leaf(leaf(ts=seen.ts)), seen)
    core.check_after_restore(core.read_leaf(leaf(ts=seen.ts - core.CLOCK_STEP_MS)), seen)
    with pytest.raises(LogViolationError) as caught:
        core.check_after_restore(core.read_leaf(leaf(ts=seen.ts - core.CLOCK_STEP_MS - 1)), seen)
    assert str(caught.value) == "key_log_rewritten: an old leaf that was not there before the restore"


async def test_the_mirror_says_how_far_another_log_is_the_same(tmp_path: Path) -> None:
    async with await blank_store(tmp_path / "s.db") as store:
        hashes = [bytes([number]) * 32 for number in range(5)]

        def fill(tx: Tx) -> None:
            for index, one in enumerate(hashes):
                label = index.to_bytes(32, "big")
                entry = TransparencyLeaf(label=label, ver=1, value_hash=b"v" * 32, prev_idx=-1, ts=1)
                tx.key_log.append(index, entry, one)

        await store.run(fill)
        assert await store.read(lambda tx: tx.key_log.same_until(1, hashes[1:])) == 4
        assert await store.read(lambda tx: tx.key_log.same_until(0, [*hashes[:2], b"x" * 32, *hashes[3:]])) == 2
        assert await store.read(lambda tx: tx.key_log.same_until(3, [*hashes[3:], b"more" * 8])) == 2
