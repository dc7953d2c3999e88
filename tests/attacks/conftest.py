"""One pair of people for all tests; every test gets its own copy of them and of their server."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from mensajeria.client.engine import holes
from tests.attacks.stage import Stage, add_phone, make_snapshot, staged

if TYPE_CHECKING:
    from tests.support.lifeline import MadeOnce

_QUICK = {
    "test_without_a_rule_messages_arrive_and_nobody_is_warned",
    "test_a_dropped_row_is_told_as_missing",
    "test_frames_of_one_connection_do_not_work_on_another",
    "test_a_request_cannot_be_replayed_altered_or_redirected",
    "test_a_session_in_somebody_elses_name_is_refused",
    "test_ghost_device_gets_no_key",
    "test_a_new_epoch_that_only_the_server_asserts_changes_nothing",
}
"""One attack on each part. All of them take minutes: those that need a stage are slow but for these."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow ones."""
    for item in items:
        used = set(getattr(item, "fixturenames", ()))
        if Path(__file__).parent in item.path.parents and used & {"stage", "snapshot"} and item.name not in _QUICK:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def snapshot(made_server: Path, made_once: MadeOnce) -> Path:
    """A server with Ana and Bruno, who have each other's keys."""

    def make(folder: Path) -> None:
        shutil.copytree(made_server, folder / "server")
        asyncio.run(make_snapshot(folder))

    return made_once("snapshot", make)


@pytest.fixture(scope="session")
def phone_snapshot(snapshot: Path, made_once: MadeOnce) -> Path:
    """As `snapshot`, with a second device of Bruno."""
    return made_once("phone", lambda folder: asyncio.run(add_phone(snapshot, folder)))


@pytest.fixture
async def stage(snapshot: Path, tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(snapshot, tmp_path) as made:
        yield made


@pytest.fixture
async def phone_stage(phone_snapshot: Path, tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(phone_snapshot, tmp_path) as made:
        yield made


@pytest.fixture(autouse=True)
def no_resend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Places of lost rows stay to be looked at: everybody is at hand, and would bring back what the server has spoilt.

    `test_resend` is about that.
    """
    monkeypatch.setattr(holes, "FIRST_MS", 3_600_000)


@pytest.fixture(autouse=True)
def server_log() -> Iterator[list[MutableMapping[str, Any]]]:
    """What the server logs while a test runs. What other people do is no error of the server."""
    with structlog.testing.capture_logs() as entries:
        yield entries
    assert [entry for entry in entries if entry["log_level"] in {"error", "critical", "exception"}] == []
