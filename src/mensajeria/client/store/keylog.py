"""The mirror of the key log: its leaves, the heads that were verified, what others say, and evidence against it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from mensajeria.client.core.keylog import BLOCK, BLOCK_LEVEL, Frontier, Newest
from mensajeria.client.store.db import Db
from mensajeria.protocol.ids import Did, Uid
from mensajeria.protocol.records import Signed, TransparencyLeaf

KEEP_HEADS: Final = 64


@dataclass(frozen=True, slots=True)
class Claim:
    """What a device says to have seen: the log's root at a size. `asked_ms` 0: its signed head was not asked for."""

    uid: Uid
    did: Did
    size: int
    root: bytes
    asked_ms: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """Signed heads that cannot be of one log; `other` None where a single one (or what lies under it) says it all."""

    code: str
    head: Signed
    other: Signed | None
    at_ms: int


class KeyLogMirror:
    """`tx.key_log`."""

    __slots__ = ("_db",)

    def __init__(self, db: Db) -> None:
        self._db = db

    # --- leaves ---

    def size(self) -> int:
        """How many leaves are here."""
        value: int | None = self._db.value("SELECT max(idx) FROM key_log")
        return 0 if value is None else value + 1

    def append(self, index: int, leaf: TransparencyLeaf, leaf_hash: bytes) -> None:
        """Add the next leaf."""
        sql = "INSERT INTO key_log(idx, label, ver, value_hash, hash) VALUES(?, ?, ?, ?, ?)"
        self._db.execute(sql, index, leaf.label, leaf.ver, leaf.value_hash, leaf_hash)
        if (index + 1) % BLOCK == 0:
            frontier = Frontier()
            for one in self._hashes(index + 1 - BLOCK, index + 1):
                frontier.push(one)
            self._db.execute("INSERT INTO key_log_blocks(block, hash) VALUES(?, ?)", index // BLOCK, frontier.root())

    def newest(self, label: bytes) -> Newest | None:
        """The label's last leaf here."""
        sql = "SELECT idx, ver, value_hash FROM key_log WHERE label = ? ORDER BY idx DESC LIMIT 1"
        row = self._db.one(sql, label)
        return None if row is None else Newest(*row)

    def root_at(self, size: int) -> bytes | None:
        """The root over the first `size` leaves; None when there are not that many."""
        if not 0 <= size <= self.size():
            return None
        frontier = Frontier()
        blocks = self._db.all("SELECT hash FROM key_log_blocks WHERE block < ? ORDER BY block", size // BLOCK)
        for (block,) in blocks:
            frontier.push(block, BLOCK_LEVEL)
        for one in self._hashes(frontier.size, size):
            frontier.push(one)
        return frontier.root()

    def _hashes(self, start: int, stop: int) -> Iterable[bytes]:
        rows = self._db.all("SELECT hash FROM key_log WHERE idx >= ? AND idx < ? ORDER BY idx", start, stop)
        return (one for (one,) in rows)

    def same_until(self, index: int, hashes: Sequence[bytes]) -> int:
        """How many of these leaf hashes, from `index` on, are the mirror's."""
        own = list(self._hashes(index, index + len(hashes)))
        pairs = enumerate(zip(own, hashes, strict=False))
        return next((at for at, (mine, theirs) in pairs if mine != theirs), min(len(own), len(hashes)))

    def cut(self, size: int) -> None:
        """Forget leaves from `size` on: they were not those of a head."""
        self._db.execute("DELETE FROM key_log WHERE idx >= ?", size)
        self._db.execute("DELETE FROM key_log_blocks WHERE block >= ?", size // BLOCK)

    # --- heads ---

    def put_head(self, epoch: int, size: int, signed: Signed, at_ms: int) -> None:
        """Keep a head that was verified; the last ones are kept, to be shown to others."""
        sql = "INSERT OR REPLACE INTO key_log_heads(epoch, size, body, sig, at_ms) VALUES(?, ?, ?, ?, ?)"
        self._db.execute(sql, epoch, size, signed.body, signed.sig, at_ms)
        self._db.execute(
            "DELETE FROM key_log_heads WHERE (epoch, size) NOT IN "
            "(SELECT epoch, size FROM key_log_heads ORDER BY epoch DESC, size DESC LIMIT ?)",
            KEEP_HEADS,
        )

    def head(self) -> tuple[Signed, int] | None:
        """The newest verified head, and when it was seen."""
        row = self._db.one("SELECT body, sig, at_ms FROM key_log_heads ORDER BY epoch DESC, size DESC LIMIT 1")
        return None if row is None else (Signed(row[0], row[1]), row[2])

    def head_at(self, size: int) -> Signed | None:
        """A verified head of exactly this size."""
        sql = "SELECT body, sig FROM key_log_heads WHERE size = ? ORDER BY epoch DESC LIMIT 1"
        row = self._db.one(sql, size)
        return None if row is None else Signed(row[0], row[1])

    # --- what others say ---

    def put_claim(self, claim: Claim) -> None:
        """Remember what a device says, instead of what it said before."""
        sql = "INSERT OR REPLACE INTO key_log_claims(uid, did, size, root, asked_ms) VALUES(?, ?, ?, ?, ?)"
        self._db.execute(sql, claim.uid, claim.did, claim.size, claim.root, claim.asked_ms)

    def claims(self) -> tuple[Claim, ...]:
        """What could not be checked, or is false."""
        rows = self._db.all("SELECT uid, did, size, root, asked_ms FROM key_log_claims")
        return tuple(Claim(Uid(uid), Did(did), size, root, asked) for uid, did, size, root, asked in rows)

    def remove_claim(self, did: Did) -> None:
        """It is settled."""
        self._db.execute("DELETE FROM key_log_claims WHERE did = ?", did)

    # --- evidence ---

    def put_evidence(self, evidence: Evidence) -> bool:
        """Keep proof against the log; False when the same is kept already."""
        other = evidence.other or Signed(b"", b"")
        return (
            self._db.changed(
                "INSERT OR IGNORE INTO key_log_evidence(code, body, sig, other_body, other_sig, at_ms) "
                "VALUES(?, ?, ?, ?, ?, ?)",
                evidence.code,
                evidence.head.body,
                evidence.head.sig,
                other.body,
                other.sig,
                evidence.at_ms,
            )
            > 0
        )

    def evidence(self) -> tuple[Evidence, ...]:
        """All proof against the log, oldest first."""
        rows = self._db.all("SELECT code, body, sig, other_body, other_sig, at_ms FROM key_log_evidence ORDER BY at_ms")
        return tuple(
            Evidence(code, Signed(body, sig), Signed(other, other_sig) if other else None, at)
            for code, body, sig, other, other_sig, at in rows
        )
