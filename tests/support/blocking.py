"""Coroutine tests in which the project's code must not block the event loop.

The conftest of a folder that wants it imports `forbid_blocking`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import cache

import pytest
from blockbuster import BlockBuster


@pytest.fixture(autouse=True)
def forbid_blocking(request: pytest.FixtureRequest) -> Iterator[None]:
    """Raise BlockingError where the project's code blocks the event loop."""
    if not is_coroutine_test(request.node):
        yield
        return
    detector = _detector()
    detector.activate()
    try:
        yield
    finally:
        detector.deactivate()


def is_coroutine_test(item: pytest.Item) -> bool:
    """Whether the test runs in an event loop."""
    return inspect.iscoroutinefunction(getattr(item, "obj", None))


@cache
def _detector() -> BlockBuster:
    """Made once: that takes longer than many a test."""
    detector = BlockBuster("mensajeria")
    # asyncpg looks for the user's certificates at each new connection of a pool: a few look-ups of paths.
    for name in ("os.path.abspath", "os.stat", "os.readlink"):
        detector.functions[name].can_block_in("asyncpg/connect_utils.py", "_parse_connect_dsn_and_args")
    return detector
