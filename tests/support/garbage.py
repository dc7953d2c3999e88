"""Collecting what one test has made, without looking through all that the tests before it have left."""

from __future__ import annotations

import gc


def collections_of_older_objects() -> int:
    """How often objects have grown too old for `gc.collect(1)` to look at them."""
    return sum(generation["collections"] for generation in gc.get_stats()[1:])


def collect_since(collections: int) -> None:
    """Collect everything unreachable that was made since `collections_of_older_objects()` gave this number."""
    gc.collect(1 if collections_of_older_objects() == collections else 2)
