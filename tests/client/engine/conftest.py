"""Ana writes, Bruno reads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.client.engine.world import Desk, Somebody, desk


@pytest.fixture(scope="session")
def people() -> tuple[Somebody, Somebody]:
    return Somebody.make("ana"), Somebody.make("bruno")


@pytest.fixture
async def ana(people: tuple[Somebody, Somebody], tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(people[0], people[1], tmp_path) as opened:
        yield opened


@pytest.fixture
async def bruno(people: tuple[Somebody, Somebody], tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(people[1], people[0], tmp_path) as opened:
        yield opened
