from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mensajeria.client.store import Store
from tests.client.blank import blank_store
from tests.client.store.people import KEY, set_up


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """An open store with two people and two chats."""
    async with await blank_store(tmp_path / "store.db", KEY.reveal()) as store:
        await store.run(set_up)
        yield store
