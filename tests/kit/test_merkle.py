from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mensajeria.kit.merkle import (
    EMPTY_ROOT,
    MerkleTree,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_hash,
    verify_consistency,
    verify_inclusion,
)

# The vectors of the reference implementation of Certificate Transparency (cpp/merkletree/merkle_tree_test.cc).
CT_LEAVES = [
    leaf_hash(bytes.fromhex(text))
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
CT_INCLUSION = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
}
CT_CONSISTENCY = {
    (1, 1): [],
    (1, 8): CT_INCLUSION[0, 8],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}

leaf_lists = st.lists(st.binary(max_size=8), min_size=1, max_size=70, unique=True).map(
    lambda items: [leaf_hash(i) for i in items]
)


def as_hex(proof: Sequence[bytes]) -> list[str]:
    return [node.hex() for node in proof]


def slow_root(leaves: Sequence[bytes]) -> bytes:
    """MTH, word by word from RFC 6962 section 2.1."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return node_hash(slow_root(leaves[:k]), slow_root(leaves[k:]))


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_certificate_transparency(size: int) -> None:
    assert root_hash(CT_LEAVES[:size]).hex() == CT_ROOTS[size]


@pytest.mark.parametrize(("index", "size"), CT_INCLUSION)
def test_inclusion_proofs_are_those_of_certificate_transparency(index: int, size: int) -> None:
    assert as_hex(inclusion_proof(CT_LEAVES[:size], index)) == CT_INCLUSION[index, size]


@pytest.mark.parametrize(("old", "size"), CT_CONSISTENCY)
def test_consistency_proofs_are_those_of_certificate_transparency(old: int, size: int) -> None:
    assert as_hex(consistency_proof(CT_LEAVES[:size], old)) == CT_CONSISTENCY[old, size]


@given(leaf_lists)
def test_the_root_is_the_definition_s(leaves: list[bytes]) -> None:
    tree = MerkleTree(leaves)
    assert tree.root() == slow_root(leaves)
    assert tree.root(len(leaves) // 2) == slow_root(leaves[: len(leaves) // 2])


@given(leaf_lists, st.data())
def test_every_leaf_proves_its_place_and_no_other(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    root, proof = root_hash(leaves), inclusion_proof(leaves, index)
    assert verify_inclusion(leaves[index], index, len(leaves), proof, root)
    assert not verify_inclusion(leaf_hash(b"never in the tree"), index, len(leaves), proof, root)
    other = data.draw(st.integers(0, len(leaves) - 1))
    assert verify_inclusion(leaves[index], other, len(leaves), proof, root) == (other == index)


@given(leaf_lists, st.data())
def test_growth_is_proved_and_a_changed_past_is_not(leaves: list[bytes], data: st.DataObject) -> None:
    tree, old = MerkleTree(leaves), data.draw(st.integers(0, len(leaves)))
    proof, old_root = tree.consistency_proof(old), tree.root(old)
    assert verify_consistency(old, old_root, len(leaves), tree.root(), proof)
    if old:
        changed = [*leaves]
        changed[data.draw(st.integers(0, old - 1))] = leaf_hash(b"a changed past")
        other = MerkleTree(changed)
        assert not verify_consistency(old, old_root, len(leaves), other.root(), other.consistency_proof(old))


@given(leaf_lists, st.data())
def test_a_mangled_proof_is_refused(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    root, proof = root_hash(leaves), inclusion_proof(leaves, index)
    for bad in mangled(proof, data):
        assert not verify_inclusion(leaves[index], index, len(leaves), bad, root)
    tree, old = MerkleTree(leaves), data.draw(st.integers(1, len(leaves)))
    for bad in mangled(tree.consistency_proof(old), data):
        assert not verify_consistency(old, tree.root(old), len(leaves), root, bad)


def mangled(proof: list[bytes], data: st.DataObject) -> list[list[bytes]]:
    """Return the proof with one node more, less, changed or cut short."""
    extra = leaf_hash(b"extra")
    bad = [[*proof, extra], [extra, *proof]]
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        bad += [proof[:at] + proof[at + 1 :], [*proof[:at], extra, *proof[at + 1 :]]]
        bad += [[*proof[:at], proof[at][:-1], *proof[at + 1 :]]]
    return bad


@given(
    st.integers(-2, 70),
    st.integers(-2, 70),
    st.lists(st.binary(max_size=40), max_size=70),
    st.binary(max_size=40),
    st.binary(max_size=40),
)
def test_any_input_to_a_verifier_gives_an_answer(a: int, b: int, proof: list[bytes], one: bytes, two: bytes) -> None:
    assert verify_inclusion(one, a, b, proof, two) in {True, False}
    assert verify_consistency(a, one, b, two, proof) in {True, False}


def test_an_empty_tree_grows_into_any_but_has_only_one_root() -> None:
    root = root_hash(CT_LEAVES)
    assert verify_consistency(0, EMPTY_ROOT, 8, root, [])
    assert not verify_consistency(0, root, 8, root, [])
    assert verify_consistency(0, EMPTY_ROOT, 0, EMPTY_ROOT, [])
    assert not verify_consistency(0, root, 0, root, [])


def test_what_is_outside_the_tree_is_refused() -> None:
    tree = MerkleTree(CT_LEAVES)
    with pytest.raises(IndexError):
        tree.inclusion_proof(8)
    with pytest.raises(IndexError):
        tree.inclusion_proof(-1)
    with pytest.raises(ValueError, match="has not grown from 9"):
        tree.consistency_proof(9)
    with pytest.raises(ValueError, match="has 8 leaves"):
        tree.root(9)
    with pytest.raises(ValueError, match="32 bytes"):
        tree.append(b"short")
    assert len(tree) == 8


@pytest.mark.parametrize("bad", [b"", CT_LEAVES[0][:-1], CT_LEAVES[0] + b"\x00"])
def test_what_is_no_hash_proves_nothing_and_raises_nothing(bad: bytes) -> None:
    tree = MerkleTree()
    for leaf in CT_LEAVES:
        tree.append(leaf)
    included, grown = tree.inclusion_proof(5), tree.consistency_proof(6)
    assert not verify_inclusion(bad, 5, 8, included, tree.root())
    assert not verify_inclusion(CT_LEAVES[5], 5, 8, included, bad)
    assert not verify_inclusion(CT_LEAVES[5], 5, 8, [bad, *included[1:]], tree.root())
    assert not verify_consistency(6, bad, 8, tree.root(), grown)
    assert not verify_consistency(6, tree.root(6), 8, bad, grown)
    assert not verify_consistency(6, tree.root(6), 8, tree.root(), [bad, *grown[1:]])


def test_no_leaf_lies_beyond_the_tree_and_no_tree_shrinks() -> None:
    leaf = CT_LEAVES[0]
    for index, size in ((1, 1), (-1, 1), (0, 0), (2, 1)):
        assert not verify_inclusion(leaf, index, size, [], leaf)
    assert not verify_consistency(-1, leaf, 1, leaf, [])
    assert not verify_consistency(2, leaf, 1, leaf, [])
    assert not verify_inclusion(leaf, 0, 1, [leaf] * 500, leaf)


def test_a_proof_is_for_the_size_that_was_asked_for() -> None:
    tree = MerkleTree()
    for leaf in CT_LEAVES:
        tree.append(leaf)
    assert verify_inclusion(CT_LEAVES[2], 2, 5, tree.inclusion_proof(2, 5), tree.root(5))
    assert verify_consistency(3, tree.root(3), 5, tree.root(5), tree.consistency_proof(3, 5))
    assert tree.consistency_proof(5, 5) == []
