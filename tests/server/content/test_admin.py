"""The operator's commands about content, each on a database of its own, beside no server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Table, insert

from mensajeria.kit.clock import FakeClock
from mensajeria.server.admin import content
from mensajeria.server.admin.commands import initialise, list_audit
from mensajeria.server.chats.retention import Erased, Waiting
from mensajeria.server.db.engine import Database
from mensajeria.server.db.migrate import migrate
from mensajeria.server.db.schema_content import event_due, report
from mensajeria.server.facts import StateError
from mensajeria.server.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings.model_validate({"data_dir": tmp_path})
    initialise(made)
    return made


def write(settings: Settings, *rows: tuple[Table, Mapping[str, Any]]) -> None:
    def store(db: Connection) -> None:
        for table, values in rows:
            db.execute(insert(table).values(**values))

    async def inner() -> None:
        db = Database(settings.effective_database_url)
        await db.write(store)
        await db.close()

    asyncio.run(inner())


def test_restore_epoch_grows(settings: Settings) -> None:
    assert [content.bump_restore_epoch(settings) for _ in range(2)] == [2, 3]


def test_a_declared_restore_is_in_the_audit_log(settings: Settings) -> None:
    content.bump_restore_epoch(settings)
    assert [(line.action, line.target) for line in list_audit(settings)] == [("restore_declared", "2")]


@pytest.mark.slow
def test_no_restore_of_an_unused_database(tmp_path: Path) -> None:
    unused = Settings.model_validate({"data_dir": tmp_path})
    migrate(unused.effective_database_url)
    with pytest.raises(StateError):
        content.bump_restore_epoch(unused)


@pytest.mark.slow
def test_retention_is_shown_and_run(settings: Settings) -> None:
    clock = FakeClock()
    due = [(event_due, {"due_ms": clock.now_ms() + step, "chat": 1, "seq": step}) for step in (-2, -1, 5)]
    write(settings, *due)

    assert content.show_retention(settings, clock) == Waiting(due=2, timers=3, purges=0)
    assert content.run_retention(settings, clock) == Erased(timers=2, old=0, purged=0)
    assert content.show_retention(settings, clock) == Waiting(due=0, timers=1, purges=0)


@pytest.mark.slow
def test_reports_are_listed_and_closed(settings: Settings) -> None:
    write(settings, *[(report, {"target": bytes(16), "text": f"claim {n}", "created_ms": n}) for n in (1, 2)])
    first, second = content.list_reports(settings)
    content.resolve_report(settings, first.id, "nothing in it")

    assert content.list_reports(settings) == [second]
    assert content.list_reports(settings, after=second.id, include_resolved=True) == []
    assert len(content.list_reports(settings, include_resolved=True)) == 2
    with pytest.raises(LookupError):
        content.resolve_report(settings, 99, "")
