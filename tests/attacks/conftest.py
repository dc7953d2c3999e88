"""One pair of people for each worker; every test gets its own copy of them and of their server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.attacks.stage import Stage, add_phone, make_snapshot, staged


@pytest.fixture(scope="session")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A server with Ana and Bruno, who have each other's keys."""
    folder = tmp_path_factory.mktemp("snapshot")
    asyncio.run(make_snapshot(folder))
    return folder


@pytest.fixture(scope="session")
def phone_snapshot(snapshot: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `snapshot`, with a second device of Bruno."""
    folder = tmp_path_factory.mktemp("phone")
    asyncio.run(add_phone(snapshot, folder))
    return folder


@pytest.fixture
async def stage(snapshot: Path, tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(snapshot, tmp_path) as made:
        yield made


@pytest.fixture
async def phone_stage(phone_snapshot: Path, tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(phone_snapshot, tmp_path) as made:
        yield made


@pytest.fixture(autouse=True)
def server_log() -> Iterator[list[MutableMapping[str, Any]]]:
    """What the server logs while a test runs. What other people do is no error of the server."""
    with structlog.testing.capture_logs() as entries:
        yield entries
    assert [entry for entry in entries if entry["log_level"] in {"error", "critical", "exception"}] == []
