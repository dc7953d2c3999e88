"""Every proof of every tree up to a size: what chance may miss at an edge of a tree (docs/mutation.md)."""

from __future__ import annotations

import hashlib

import pytest

from mensajeria.kit.merkle import MerkleTree, leaf_hash, node_hash, verify_consistency, verify_inclusion

LARGEST = 18
LEAVES = [hashlib.sha256(bytes([0, number])).digest() for number in range(LARGEST)]


@pytest.fixture(scope="module")
def tree() -> MerkleTree:
    made = MerkleTree()
    assert [made.append(leaf) for leaf in LEAVES] == list(range(LARGEST))
    return made


def test_leaves_and_nodes_are_hashed_apart() -> None:
    assert leaf_hash(b"x") == hashlib.sha256(b"\x00x").digest()
    assert node_hash(*LEAVES[:2]) == hashlib.sha256(b"\x01" + LEAVES[0] + LEAVES[1]).digest()


@pytest.mark.parametrize("size", range(1, LARGEST + 1))
def test_every_leaf_of_every_size_proves_exactly_its_place(tree: MerkleTree, size: int) -> None:
    root = tree.root(size)
    for index in range(size):
        proof = tree.inclusion_proof(index, size)
        proven = [place for place in range(size) if verify_inclusion(LEAVES[index], place, size, proof, root)]
        assert proven == [index]


@pytest.mark.parametrize("size", range(LARGEST + 1))
def test_every_growth_is_proved_from_exactly_its_beginning(tree: MerkleTree, size: int) -> None:
    root = tree.root(size)
    for old in range(size + 1):
        proof = tree.consistency_proof(old, size)
        assert verify_consistency(old, tree.root(old), size, root, proof)
        others = [other for other in range(size + 1) if other != old]
        assert not any(verify_consistency(old, tree.root(other), size, root, proof) for other in others)
        assert not any(verify_consistency(other, tree.root(old), size, root, proof) for other in others)


@pytest.mark.parametrize("cut", [31, 33])
def test_what_is_hashed_together_cannot_be_cut_elsewhere(cut: int) -> None:
    """The bytes of both halves are those of the tree; a leaf or node of another length is none."""
    both = LEAVES[0] + LEAVES[1]
    root = node_hash(LEAVES[0], LEAVES[1])
    assert verify_inclusion(both[:32], 0, 2, [both[32:]], root)
    assert not verify_inclusion(both[:cut], 0, 2, [both[cut:]], root)
    assert verify_consistency(1, both[:32], 2, root, [both[32:]])
    assert not verify_consistency(1, both[:cut], 2, root, [both[cut:]])
