"""How many one-time keys to publish."""

from __future__ import annotations

from mensajeria.protocol import limits


def one_time_needed(left: int) -> int:
    """Number of new one-time keys, given how many the server has left."""
    return limits.OTK_TARGET - left if left < limits.OTK_REFILL_BELOW else 0
