"""Reading a whole key log and holding it against every head that was ever seen of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mensajeria.client.core import keylog as core
from mensajeria.client.core.keylog import Frontier, LogViolationError, Newest
from mensajeria.kit.merkle import leaf_hash
from mensajeria.protocol.records import Signed, TreeHead


@dataclass(frozen=True, slots=True)
class SeenHead:
    """A head whose signature was checked. `own`: this auditor saw it before; else another one did."""

    head: TreeHead
    signed: Signed
    own: bool


@dataclass(frozen=True, slots=True)
class Violation:
    """What the log did, and the earlier head that proves it; None where the log alone does."""

    code: str
    detail: str
    against: SeenHead | None = None


class Walk:
    """Leaf by leaf from the first; memory grows with the number of labels, not of leaves."""

    def __init__(self, head: TreeHead, seen: Iterable[SeenHead]) -> None:
        self._head = head
        self._frontier = Frontier()
        self._newest: dict[bytes, Newest] = {}
        self._expected: dict[int, list[SeenHead]] = {}
        self.violations: list[Violation] = []
        self.checked = 0
        for one in seen:
            self._place(one)
        self._compare()

    @property
    def size(self) -> int:
        """Leaves so far."""
        return self._frontier.size

    def _place(self, one: SeenHead) -> None:
        """Which seen heads lie on the way, and which contradict the new one already."""
        if one.head.restore_epoch < self._head.restore_epoch:
            return  # from before a restore that was declared
        if one.head.restore_epoch > self._head.restore_epoch:
            self._violated(core.ROLLED_BACK, "an earlier epoch", one)
        elif one.head.size <= self._head.size:
            self._expected.setdefault(one.head.size, []).append(one)
        elif one.own or core.contradicts(one.head, self._head, None):
            self._violated(core.ROLLED_BACK if one.own else core.FORKED, "smaller than it was shown", one)

    def add(self, encoded: bytes) -> None:
        """The next leaf."""
        index = self.size
        try:
            leaf = core.read_leaf(encoded)
            known = self._newest.get(leaf.label)
            self._newest[leaf.label] = Newest(index, leaf.ver, leaf.value_hash)
            core.check_leaf(leaf, known)
        except LogViolationError as violation:
            self._violated(violation.code, f"leaf {index}")
        self._frontier.push(leaf_hash(encoded))
        self._compare()

    def finish(self) -> None:
        """There are no more leaves."""
        if self.size != self._head.size or self._frontier.root() != self._head.root:
            self._violated(core.REWRITTEN, "the leaves are not those of the head")

    def _compare(self) -> None:
        for one in self._expected.pop(self.size, ()):
            self.checked += 1
            if self._frontier.root() != one.head.root:
                self._violated(core.REWRITTEN if one.own else core.FORKED, f"another root at {self.size}", one)

    def _violated(self, code: str, detail: str, against: SeenHead | None = None) -> None:
        self.violations.append(Violation(code, detail, against))
