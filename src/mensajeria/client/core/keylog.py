"""What a key log must be (docs/protocol/e2ee.md §12, RFC 6962): rules without a network, a store or a clock."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from mensajeria.kit.merkle import EMPTY_ROOT, node_hash
from mensajeria.protocol.encoding import MalformedError
from mensajeria.protocol.records import TransparencyLeaf, TreeHead
from mensajeria.protocol.transparency import HEAD_FRESH_MS, NO_PREVIOUS, decode_leaf

FORGED: Final = "key_log_forged"
ROLLED_BACK: Final = "key_log_rolled_back"
FORKED: Final = "key_log_forked"
REWRITTEN: Final = "key_log_rewritten"
SECOND_VALUE: Final = "key_log_second_value"
STALE: Final = "key_log_stale"
MIRROR_MAX: Final = 500_000
"""Leaves that a client copies; of a larger log it asks for proofs."""
CLOCK_STEP_MS: Final = 300_000
"""How far a server's clock may have been set back."""
BLOCK_LEVEL: Final = 8
BLOCK: Final = 1 << BLOCK_LEVEL
"""Leaves whose common hash is kept, so that the root at any size is computed from few hashes."""


class LogViolationError(Exception):
    """The log did what it must not. `code` keys the sentence `error.<code>`."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Newest:
    """The last leaf of a label that was seen."""

    index: int
    ver: int
    value_hash: bytes


class Verdict(Enum):
    """What a new head is to the last one."""

    SAME = auto()
    GROWN = auto()
    RESTORED = auto()
    """The server says that it was restored from a backup: what was logged since is gone, what was before is not."""


class Frontier:
    """The hashes of the full subtrees of a growing log, from which its root follows. Takes O(log n) memory."""

    def __init__(self) -> None:
        self._peaks: list[tuple[int, bytes]] = []
        self.size = 0

    def push(self, subtree: bytes, level: int = 0) -> None:
        """Append a full subtree of 2^level leaves; the size before must be a multiple of that."""
        if self.size % (1 << level):
            raise ValueError("not at the end of a subtree of that size")
        self.size += 1 << level
        while self._peaks and self._peaks[-1][0] == level:
            subtree = node_hash(self._peaks.pop()[1], subtree)
            level += 1
        self._peaks.append((level, subtree))

    def root(self) -> bytes:
        """The root over everything so far."""
        if not self._peaks:
            return EMPTY_ROOT
        root = self._peaks[-1][1]
        for _, peak in reversed(self._peaks[:-1]):
            root = node_hash(peak, root)
        return root


def read_leaf(encoded: bytes) -> TransparencyLeaf:
    """Raises LogViolationError for what is not a leaf."""
    try:
        return decode_leaf(encoded)
    except MalformedError as error:
        raise LogViolationError(FORGED, "not a leaf") from error


def check_leaf(leaf: TransparencyLeaf, known: Newest | None) -> None:
    """The next leaf must name its label's last one, and a label never has two values of one version.

    Raises LogViolationError.
    """
    if leaf.prev_idx != (NO_PREVIOUS if known is None else known.index):
        raise LogViolationError(FORGED, "does not name its predecessor")
    if known is not None and leaf.ver <= known.ver:
        raise LogViolationError(SECOND_VALUE, "a version that was logged before")


def judge_head(known: TreeHead | None, head: TreeHead) -> Verdict:
    """A head of the log's key beside the last one that was verified. Raises LogViolationError."""
    if known is None:
        return Verdict.GROWN
    if head.restore_epoch > known.restore_epoch:
        return Verdict.RESTORED
    if head.restore_epoch < known.restore_epoch:
        raise LogViolationError(ROLLED_BACK, "an earlier epoch")
    if head.size > known.size:
        return Verdict.GROWN
    if head.size < known.size:
        raise LogViolationError(ROLLED_BACK, "smaller than before")
    if head.root != known.root:
        raise LogViolationError(FORKED, "two roots of one size")
    return Verdict.SAME


def check_after_restore(leaf: TransparencyLeaf, known: TreeHead) -> None:
    """A leaf that a restored log has behind what it shares with the mirror was made after the last head seen before.

    One that says to be older should have stood in the log of that head: the log was rewritten, not restored.
    Raises LogViolationError.
    """
    if leaf.ts + CLOCK_STEP_MS < known.ts:
        raise LogViolationError(REWRITTEN, "an old leaf that was not there before the restore")


def contradicts(theirs: TreeHead, mine: TreeHead, my_root_at_their_size: bytes | None) -> bool:
    """Whether two heads, both signed by the log, cannot be of one log.

    Args:
        theirs: what somebody else was shown.
        mine: the newest head that was verified here.
        my_root_at_their_size: None when my log is shorter.
    """
    if theirs.restore_epoch != mine.restore_epoch:
        return False  # before and after a restore: which came first is judged by each alone
    if my_root_at_their_size is not None:
        return my_root_at_their_size != theirs.root
    # Longer than mine, though signed before mine: leaves are hidden from me.
    return theirs.ts < mine.ts


def is_stale(head: TreeHead, now_ms: int) -> bool:
    """Whether the head is too old to say anything about now."""
    return now_ms - head.ts > HEAD_FRESH_MS
