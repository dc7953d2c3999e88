"""The key log as a Merkle tree in memory, and its signed head. What is served is computed from what is committed.

The tree grows by what the table has gained since it was last asked: leaves never change, their indexes have no gap.
"""

from __future__ import annotations

import asyncio
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, select

from mensajeria.kit.clock import Clock
from mensajeria.kit.merkle import MerkleTree, leaf_hash
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.records import Signed, TreeHead
from mensajeria.protocol.signing import Ctx, signing_input
from mensajeria.protocol.transparency import log_id
from mensajeria.server.db.engine import Database
from mensajeria.server.db.schema import kt_leaf

READ_LEAVES: Final = 5000
"""Leaves read in one query."""
HEAD_LIFE_MS: Final = 3600 * 1000
"""A head is signed again after this time, though nothing was added: its age is part of what it proves."""


class KeyLog:
    """Heads, proofs and leaves. About 70 bytes of memory for each leaf."""

    def __init__(self, db: Database, clock: Clock, key: Secret, restore_epoch: int) -> None:
        self._db = db
        self._clock = clock
        self._key = Ed25519PrivateKey.from_private_bytes(key.reveal())
        self.public_key: bytes = self._key.public_key().public_bytes_raw()
        """What clients pin."""
        self._log_id = log_id(self.public_key)
        self._restore_epoch = restore_epoch
        self._tree = MerkleTree()
        self._growing = asyncio.Lock()
        self._head: tuple[TreeHead, Signed] | None = None

    async def head(self) -> Signed:
        """The tree head over everything that is committed now."""
        tree = await self._grown()
        now_ms = self._clock.now_ms()
        if self._head is not None:
            head, signed = self._head
            if head.size == len(tree) and 0 <= now_ms - head.ts < HEAD_LIFE_MS:
                return signed
        head = TreeHead(
            log_id=self._log_id, size=len(tree), root=tree.root(), ts=now_ms, restore_epoch=self._restore_epoch
        )
        body = encode(head)
        signed = Signed(body, self._key.sign(signing_input(Ctx.STH, body)))
        self._head = (head, signed)
        return signed

    async def inclusion(self, index: int, size: int) -> list[bytes]:
        """The audit path of a leaf in the tree over `size` leaves; raises IndexError or ValueError."""
        return (await self._at_least(size)).inclusion_proof(index, size)

    async def consistency(self, old_size: int, size: int) -> list[bytes]:
        """The proof that the tree over `old_size` leaves is the beginning of that over `size`; raises ValueError."""
        return (await self._at_least(size)).consistency_proof(old_size, size)

    async def _at_least(self, size: int) -> MerkleTree:
        return self._tree if len(self._tree) >= size else await self._grown()

    async def _grown(self) -> MerkleTree:
        async with self._growing:
            while leaves := await self._db.query(lambda connection: read_leaves(connection, len(self._tree))):
                for leaf in leaves:
                    self._tree.append(leaf_hash(leaf))
                if len(leaves) < READ_LEAVES:
                    break
        return self._tree


def read_leaves(connection: Connection, start: int, limit: int = READ_LEAVES) -> list[bytes]:
    """Encoded leaves from index `start` on."""
    query = select(kt_leaf.c.leaf).where(kt_leaf.c.idx >= start).order_by(kt_leaf.c.idx).limit(limit)
    return list(connection.execute(query).scalars())


def newest_of(connection: Connection, label: bytes) -> tuple[int, bytes] | None:
    """Index and bytes of a label's newest leaf; None for a label that was never logged."""
    query = (
        select(kt_leaf.c.idx, kt_leaf.c.leaf).where(kt_leaf.c.label == label).order_by(kt_leaf.c.ver.desc()).limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else (row.idx, row.leaf)
