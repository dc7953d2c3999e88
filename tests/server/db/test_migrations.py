"""The schema's history: it makes exactly the tables of the code, on both databases, all or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from mensajeria.kit.clock import FakeClock
from mensajeria.server.db import schema_chats
from mensajeria.server.db.engine import Database
from mensajeria.server.db.migrate import SchemaError, current_revision, head_revision, migrate, require_head
from mensajeria.server.db.schema import metadata
from mensajeria.server.settings import Settings
from mensajeria.server.startup import prepare
from tests.server.fixtures import void


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'm.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


def run(url: str, function: Callable[[Connection], Any], *, write: bool = False) -> Any:
    async def inner() -> Any:
        db = Database(url)
        try:
            return await (db.write(function) if write else db.query(function))
        finally:
            await db.close()

    return asyncio.run(inner())


def test_empty_database_gets_exactly_the_tables_of_the_code(empty_url: str) -> None:
    assert migrate(empty_url) == (None, head_revision())
    assert migrate(empty_url) == (head_revision(), head_revision())

    def drift(connection: Connection) -> list[Any]:
        options = {"compare_type": True, "compare_server_default": True}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

    assert schema_chats.event.metadata is metadata
    assert run(empty_url, drift) == []


def test_foreign_keys_and_uniqueness_are_there(empty_url: str) -> None:
    migrate(empty_url)

    def read(connection: Connection) -> tuple[int, int]:
        found = inspect(connection)
        tables = [table.name for table in metadata.sorted_tables]
        keys = sum(len(found.get_foreign_keys(name)) for name in tables)
        unique = sum(len(found.get_unique_constraints(name)) for name in tables)
        return keys, unique

    keys = sum(len(table.foreign_key_constraints) for table in metadata.sorted_tables)
    assert run(empty_url, read) == (keys, 12)


def test_database_of_a_newer_program_is_refused_and_left_alone(empty_url: str) -> None:
    migrate(empty_url)
    newer = text("UPDATE alembic_version SET version_num = '9999'")
    run(empty_url, lambda connection: void(connection.execute(newer)), write=True)

    with pytest.raises(SchemaError, match="9999"):
        migrate(empty_url)
    assert run(empty_url, current_revision) == "9999"


def test_failed_migration_leaves_nothing(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic import op  # noqa: PLC0415 - replaced for this test only

    create, made = op.create_table, []

    def fail_at_the_fifth(*args: Any, **kwargs: Any) -> Any:
        made.append(args[0])
        if len(made) == 5:
            raise RuntimeError("disk full")
        return create(*args, **kwargs)

    monkeypatch.setattr(op, "create_table", fail_at_the_fifth)
    with pytest.raises(RuntimeError):
        migrate(empty_url)
    assert run(empty_url, lambda connection: inspect(connection).get_table_names()) == []
    monkeypatch.undo()
    migrate(empty_url)


def test_postgres_function_of_the_migration_is_that_of_the_code() -> None:
    found = Path(head_script()).read_text(encoding="utf-8")

    for statement in schema_chats.POSTGRES_STATEMENTS:
        assert statement.strip() in found


def head_script() -> str:
    folder = Path(__file__).parents[3] / "src" / "mensajeria" / "server" / "migrations" / "versions"
    return str(next(folder.glob("0001_*.py")))


def test_postgres_is_refused_unless_migrated_or_told_to(postgres_url: str, tmp_path: Path) -> None:
    def start(*, allowed: bool) -> None:
        async def inner() -> None:
            settings = Settings.model_validate({"data_dir": tmp_path, "database_url": postgres_url, "migrate": allowed})
            prepared = await prepare(settings, FakeClock())
            await require_head(prepared.db)
            await prepared.db.close()

        asyncio.run(inner())

    with pytest.raises(SchemaError, match="admin migrate"):
        start(allowed=False)
    start(allowed=True)
    start(allowed=False)
