"""Which messages of a session never came: the indexes between what was seen, less what the author declared void."""

from __future__ import annotations

from collections.abc import Container


def missing_before(next_idx: int, idx: int, void: Container[int], limit: int = 10_000) -> int:
    """How many indexes in [next_idx, idx) are neither seen nor void. Above `limit` the rest is counted unchecked."""
    looked_at = range(next_idx, min(idx, next_idx + limit))
    return sum(1 for i in looked_at if i not in void) + max(0, idx - next_idx - limit)


def missing_at_end(next_idx: int, last_acked: int, void: Container[int]) -> int:
    """How many of an ended session's messages, whose last acked index its author names, never came."""
    return missing_before(next_idx, last_acked + 1, void)
