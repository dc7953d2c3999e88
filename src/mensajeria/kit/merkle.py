"""Merkle trees as RFC 6962 section 2.1 defines them: roots, inclusion proofs, consistency proofs. Pure functions.

A tree is an ordered list of leaves; all hashes are SHA-256, 32 bytes. Leaves and inner nodes are hashed under different
prefixes, so that neither can pass for the other. Verification follows RFC 9162 sections 2.1.3.2 and 2.1.4.2.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

__all__ = [
    "EMPTY_ROOT",
    "HASH_SIZE",
    "MerkleTree",
    "consistency_proof",
    "inclusion_proof",
    "leaf_hash",
    "node_hash",
    "root_hash",
    "verify_consistency",
    "verify_inclusion",
]

HASH_SIZE: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
_MAX_PROOF: Final = 64  # a tree of 2^64 leaves: nothing longer is worth looking at


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf that holds `data`."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node above two hashes."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_hash(leaves: Sequence[bytes]) -> bytes:
    """Return the root of the tree over `leaves`, which are leaf hashes already (RFC 6962: MTH)."""
    return MerkleTree(leaves).root()


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the proof that `leaves[index]` is in the tree over `leaves` (RFC 6962: PATH); raises IndexError."""
    return MerkleTree(leaves).inclusion_proof(index)


def consistency_proof(leaves: Sequence[bytes], old_size: int) -> list[bytes]:
    """Return the proof that the first `old_size` leaves are the beginning of the tree (RFC 6962: PROOF).

    Raises ValueError unless 0 <= old_size <= len(leaves).
    """
    return MerkleTree(leaves).consistency_proof(old_size)


class MerkleTree:
    """A growing tree that keeps the hash of every full subtree: an append costs O(1), a root or a proof O(log² n)."""

    def __init__(self, leaves: Sequence[bytes] = ()) -> None:
        # _levels[k][i] is the hash over the leaves [i * 2^k, (i + 1) * 2^k).
        self._levels: list[list[bytes]] = [[]]
        for leaf in leaves:
            self.append(leaf)

    def __len__(self) -> int:
        return len(self._levels[0])

    def append(self, leaf: bytes) -> int:
        """Add a leaf hash at the end and return its index; raises ValueError when it is no hash."""
        if len(leaf) != HASH_SIZE:
            msg = f"a leaf hash has {HASH_SIZE} bytes, not {len(leaf)}"
            raise ValueError(msg)
        self._levels[0].append(leaf)
        self._complete_subtrees()
        return len(self) - 1

    def _complete_subtrees(self) -> None:
        level = 0
        while len(self._levels[level]) % 2 == 0:
            if level + 1 == len(self._levels):
                self._levels.append([])
            self._levels[level + 1].append(node_hash(*self._levels[level][-2:]))
            level += 1

    def root(self, size: int | None = None) -> bytes:
        """Return the root over the first `size` leaves, by default over all; raises ValueError."""
        size = self._checked(len(self) if size is None else size)
        return self._range_hash(0, size) if size else EMPTY_ROOT

    def inclusion_proof(self, index: int, size: int | None = None) -> list[bytes]:
        """Return the proof for one leaf of the tree over the first `size` leaves; raises IndexError or ValueError."""
        size = self._checked(len(self) if size is None else size)
        if not 0 <= index < size:
            msg = f"no leaf {index} in a tree of {size}"
            raise IndexError(msg)
        return self._path(index, 0, size)

    def consistency_proof(self, old_size: int, size: int | None = None) -> list[bytes]:
        """Return the proof that the tree over `old_size` leaves grew into the one over `size`; raises ValueError."""
        size = self._checked(len(self) if size is None else size)
        if not 0 <= old_size <= size:
            msg = f"a tree of {size} leaves has not grown from {old_size}"
            raise ValueError(msg)
        return self._subproof(old_size, 0, size, whole=True) if 0 < old_size < size else []

    def _checked(self, size: int) -> int:
        if not 0 <= size <= len(self):
            msg = f"the tree has {len(self)} leaves, not {size}"
            raise ValueError(msg)
        return size

    def _range_hash(self, start: int, stop: int) -> bytes:
        """Hash the leaves [start, stop); `start` is a multiple of the largest power of two below the length."""
        size = stop - start
        if size & (size - 1) == 0:
            level = size.bit_length() - 1
            return self._levels[level][start >> level]
        split = start + _split(size)
        return node_hash(self._range_hash(start, split), self._range_hash(split, stop))

    def _path(self, index: int, start: int, stop: int) -> list[bytes]:
        if stop - start == 1:
            return []
        split = start + _split(stop - start)
        if index < split:
            return [*self._path(index, start, split), self._range_hash(split, stop)]
        return [*self._path(index, split, stop), self._range_hash(start, split)]

    def _subproof(self, old_size: int, start: int, stop: int, *, whole: bool) -> list[bytes]:
        if old_size == stop:
            return [] if whole else [self._range_hash(start, stop)]
        split = start + _split(stop - start)
        if old_size <= split:
            return [*self._subproof(old_size, start, split, whole=whole), self._range_hash(split, stop)]
        return [*self._subproof(old_size, split, stop, whole=False), self._range_hash(start, split)]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Tell whether `proof` shows that `leaf` is leaf `index` of the tree with `size` leaves and `root`.

    Any input gives an answer; nothing is raised.
    """
    if not (0 <= index < size and _are_hashes(leaf, root, *proof)):
        return False
    position, last, reached = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            reached = node_hash(sibling, reached)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            reached = node_hash(reached, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and hmac.compare_digest(reached, root)


def verify_consistency(old_size: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Tell whether `proof` shows that the tree (`old_size`, `old_root`) grew into the tree (`size`, `root`).

    Any input gives an answer; nothing is raised.
    """
    if not (0 <= old_size <= size and _are_hashes(old_root, root, *proof)):
        return False
    if old_size == size:
        return not proof and hmac.compare_digest(old_root, root) and (size > 0 or root == EMPTY_ROOT)
    if old_size == 0:
        return not proof and hmac.compare_digest(old_root, EMPTY_ROOT)
    nodes = list(proof)
    if old_size & (old_size - 1) == 0:  # the old tree is one full subtree, whose root the proof need not repeat
        nodes.insert(0, old_root)
    return bool(nodes) and _walk_consistency(old_size, old_root, size, root, nodes)


def _walk_consistency(old_size: int, old_root: bytes, size: int, root: bytes, nodes: list[bytes]) -> bool:
    position, last = old_size - 1, size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    old_reached = reached = nodes[0]
    for node in nodes[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            old_reached, reached = node_hash(node, old_reached), node_hash(node, reached)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            reached = node_hash(reached, node)
        position, last = position >> 1, last >> 1
    return last == 0 and hmac.compare_digest(old_reached, old_root) and hmac.compare_digest(reached, root)


def _split(size: int) -> int:
    """Return the largest power of two smaller than `size` (RFC 6962: k)."""
    return 1 << (size - 1).bit_length() - 1


def _are_hashes(*values: bytes) -> bool:
    return len(values) <= _MAX_PROOF + 2 and all(len(value) == HASH_SIZE for value in values)
