"""The schema's history: it makes exactly the tables of the code, on both databases, all or nothing."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, PrimaryKeyConstraint, UniqueConstraint, create_engine, inspect, text

from mensajeria.kit.clock import FakeClock
from mensajeria.server.db import schema_chats
from mensajeria.server.db.engine import Database
from mensajeria.server.db.migrate import migrate
from mensajeria.server.db.revision import SCRIPTS, SchemaError, current_revision, head_revision, require_head
from mensajeria.server.db.schema import metadata
from mensajeria.server.settings import Settings
from mensajeria.server.startup import prepare
from tests.server.fixtures import void

KEYS = (PrimaryKeyConstraint, UniqueConstraint)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
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


@pytest.mark.slow
def test_every_step_can_be_taken_back_and_again(empty_url: str) -> None:
    migrate(empty_url)

    def down_and_up(connection: Connection) -> list[Any]:
        config = Config()
        config.set_main_option("script_location", str(SCRIPTS))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        newest_first = [step.revision for step in ScriptDirectory.from_config(config).walk_revisions()]
        for revision in newest_first[1:]:  # down to the first, which is the beginning
            command.downgrade(config, revision)
        for revision in reversed(newest_first):
            command.upgrade(config, revision)
        options = {"compare_type": True, "compare_server_default": True}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

    assert run(empty_url, down_and_up, write=True) == []


@pytest.mark.slow
def test_a_step_takes_nothing_from_a_program_that_still_runs_on_the_one_before(tmp_path: Path) -> None:
    """What it names stays, and what is new can be left out by it. One step is older than this rule, and any release."""
    engine = create_engine(f"sqlite:///{tmp_path / 'm.db'}")
    broken: list[tuple[str, str]] = []
    with engine.connect() as connection:
        config = Config()
        config.set_main_option("script_location", str(SCRIPTS))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        revisions = [step.revision for step in ScriptDirectory.from_config(config).walk_revisions()]
        before: dict[str, dict[str, bool]] = {}
        for revision in reversed(revisions):
            command.upgrade(config, revision)
            after = columns(connection)
            for table, names in before.items():
                found = after.get(table, {})
                broken += [(revision, f"{table}.{name}") for name in names.keys() - found.keys()]
                broken += [(revision, f"{table}.{name}") for name in found.keys() - names.keys() if not found[name]]
            before = after
    engine.dispose()
    assert broken == [("0007", "refresh_family.revoked_ms")]


def columns(connection: Connection) -> dict[str, dict[str, bool]]:
    """Each table's columns, and whether an INSERT may leave them out."""
    found = inspect(connection)
    return {
        table: {
            column["name"]: bool(column["nullable"] or column["default"] is not None or column.get("primary_key"))
            for column in found.get_columns(table)
        }
        for table in found.get_table_names()
    }


def test_what_goes_with_a_row_is_found_by_an_index() -> None:
    """Deleting an account, for one, must not read every block and invite there is."""
    for table in metadata.sorted_tables:
        indexed = {next(iter(index.columns)).name for index in table.indexes}
        indexed |= {next(iter(rule.columns)).name for rule in table.constraints if isinstance(rule, KEYS)}
        for key in table.foreign_key_constraints:
            assert key.ondelete is None or key.column_keys[0] in indexed, f"{table.name}.{key.column_keys[0]}"


def test_the_newest_revision_is_the_one_of_the_scripts() -> None:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    assert ScriptDirectory.from_config(config).get_heads() == [head_revision()]


@pytest.mark.slow
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


def test_rows_that_change_all_the_time_have_room_on_their_pages(postgres_url: str) -> None:
    """Else each change goes to another page, and into every index anew."""
    migrate(postgres_url)
    query = text("SELECT relname FROM pg_class WHERE array_to_string(reloptions, ',') LIKE 'fillfactor=%'")
    tables = set(run(postgres_url, lambda connection: connection.execute(query).scalars().all()))
    assert {"chat", "chat_member", "device", "device_cursor"} <= tables


def test_database_of_a_newer_program_is_refused_and_left_alone(empty_url: str) -> None:
    migrate(empty_url)
    newer = text("UPDATE alembic_version SET version_num = '9999'")
    run(empty_url, lambda connection: void(connection.execute(newer)), write=True)

    with pytest.raises(SchemaError, match="9999"):
        migrate(empty_url)
    assert run(empty_url, current_revision) == "9999"


@pytest.mark.slow
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


def test_postgres_functions_of_the_migrations_are_those_of_the_code() -> None:
    for statement in schema_chats.POSTGRES_STATEMENTS:
        assert statement.strip() in script("0001")


def script(revision: str) -> str:
    folder = Path(__file__).parents[3] / "src" / "mensajeria" / "server" / "migrations" / "versions"
    return next(folder.glob(f"{revision}_*.py")).read_text(encoding="utf-8")


@pytest.mark.slow
def test_postgres_is_refused_unless_migrated_or_told_to(postgres_url: str, tmp_path: Path) -> None:
    def start(*, allowed: bool) -> None:
        async def inner() -> None:
            settings = Settings.model_validate({"data_dir": tmp_path, "database_url": postgres_url, "migrate": allowed})
            prepared = await prepare(settings, FakeClock())
            await require_head(prepared.db)
            await prepared.db.close()

        asyncio.run(inner())

    with pytest.raises(SchemaError, match="schema_missing"):
        start(allowed=False)
    start(allowed=True)
    start(allowed=False)


def test_accounts_of_the_first_schema_are_kept_and_may_wait_afterwards(tmp_path: Path) -> None:
    """SQLite changes the rule for an account's status by copying the table: what points at its rows still must."""
    path = tmp_path / "m.db"
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        config = Config()
        config.set_main_option("script_location", str(SCRIPTS))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        columns = "uid, handle, status, created_ms, opaque_suite, opaque_record, root_ver, wrap_password, wrap_recovery"
        values = "zeroblob(16), 'ana', 'active', 1, 1, x'00', 1, x'00', x'00', x'00', zeroblob(32), 1"
        connection.execute(text(f"INSERT INTO account ({columns}, identity, idfp, list_ver) VALUES ({values})"))
        connection.execute(text("INSERT INTO device_list VALUES (1, 1, x'00', x'00', 1)"))
        connection.commit()
    engine.dispose()

    migrate(f"sqlite:///{path}")

    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA foreign_keys = ON")
        assert raw.execute("SELECT handle FROM account JOIN device_list ON account_id = id").fetchall() == [("ana",)]
        assert raw.execute("PRAGMA foreign_key_check").fetchall() == []
        raw.execute("UPDATE account SET status = 'pending'")
        with pytest.raises(sqlite3.IntegrityError):
            raw.execute("UPDATE account SET status = 'else'")
        raw.execute("DELETE FROM account")
        assert raw.execute("SELECT count(*) FROM device_list").fetchone() == (0,)
        assert raw.execute("SELECT seq FROM sqlite_sequence WHERE name = 'account'").fetchone() == (1,)
    raw.close()
