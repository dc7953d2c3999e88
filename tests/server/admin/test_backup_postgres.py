"""The same on PostgreSQL, by its own programs."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
from sqlalchemy import Connection, delete, func, insert, select

from mensajeria.server.admin.backups import postgres
from mensajeria.server.admin.backups.create import create
from mensajeria.server.admin.backups.errors import BackupError, DamagedError
from mensajeria.server.admin.backups.manifest import NAME, POSTGRES_PART, Part, decode, encode
from mensajeria.server.admin.backups.restore import restore
from mensajeria.server.admin.backups.verify import verify
from mensajeria.server.admin.commands import initialise
from mensajeria.server.db.engine import Database, normalise_url
from mensajeria.server.db.schema import account, one_time_key
from mensajeria.server.facts import StateError
from mensajeria.server.settings import Settings
from tests.server.admin.stored import settings_of
from tests.server.people import insert_people
from tests.support.postgres import programs

T = TypeVar("T")


def on(url: str, folder: Path) -> Settings:
    return Settings.model_validate({"data_dir": folder, "database_url": url})


def run(url: str, function: Callable[[Connection], T]) -> T:
    async def inner() -> T:
        db = Database(url)
        try:
            return await db.write(function)
        finally:
            await db.close()

    return asyncio.run(inner())


def fill(connection: Connection) -> None:
    [person, *_] = insert_people(connection, 2)
    key = {"device_id": person.device_id, "key": bytes(32), "body": b"b", "sig": b"s"}
    connection.execute(insert(one_time_key).values(**key))


@pytest.fixture
def with_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL's programs of the version of its server stand first on PATH."""
    found = programs()
    if found is None:
        pytest.skip("no programs of PostgreSQL")
    monkeypatch.setenv("PATH", f"{found}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.slow
@pytest.mark.usefixtures("with_programs")
def test_what_is_put_back_is_the_same_server(
    made_on_postgres: tuple[str, Path],
    postgres_database: Callable[[str | None], str],
    tmp_path: Path,
) -> None:
    template, folder = made_on_postgres
    shutil.copytree(folder, tmp_path / "data")
    old = on(postgres_database(template), tmp_path / "data")
    run(old.effective_database_url, fill)
    made = create(old, tmp_path / "b.tar")
    assert verify(tmp_path / "b.tar").checked

    with pytest.raises(BackupError) as refused:  # the database is not empty
        restore(on(old.effective_database_url, tmp_path / "new"), tmp_path / "b.tar")
    assert refused.value.code == "server_not_empty"
    with pytest.raises(StateError):  # of another kind
        restore(settings_of(tmp_path / "new"), tmp_path / "b.tar")

    new = on(postgres_database(None), tmp_path / "new")
    assert restore(new, tmp_path / "b.tar").restore_epoch == 2
    assert initialise(new).server_id.hex() == made.manifest.server_id
    count = [select(func.count()).select_from(table) for table in (account, one_time_key)]
    assert [run(new.effective_database_url, lambda db, q=q: db.execute(q).scalar_one()) for q in count] == [2, 0]  # type: ignore[misc]
    assert run(old.effective_database_url, lambda db: db.execute(count[1]).scalar_one()) == 1
    run(new.effective_database_url, lambda db: db.execute(delete(account)).rowcount)
    run(new.effective_database_url, fill)  # ids go on


@pytest.mark.slow
@pytest.mark.usefixtures("with_programs")
def test_a_program_that_fails_is_named_with_its_first_line_and_no_password(tmp_path: Path) -> None:
    url = normalise_url("postgresql://someone:hunter2hunter2@127.0.0.1:1/x")
    with pytest.raises(BackupError) as failed:
        postgres.dump(url, tmp_path / "dump")
    assert failed.value.code == "tool_failed"
    assert "127.0.0.1" in str(failed.value)
    assert "hunter2" not in str(failed.value)


def test_without_its_programs_one_line_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackupError) as missing:
        create(on("postgresql://u:p@127.0.0.1:1/x", tmp_path / "data"), tmp_path / "b")
    assert (missing.value.code, missing.value.params) == ("tool_missing", {"name": "pg_dump"})
    assert not (tmp_path / "b").exists()


@pytest.mark.skipif(os.name != "posix", reason="a shell")
def test_a_dump_is_looked_into_only_where_pg_restore_is(
    made_backups: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(made_backups / "b", tmp_path / "b"))
    dump, manifest = b"PGDMP, and no more", decode((folder / NAME).read_bytes())
    (folder / "database.sqlite3").rename(folder / POSTGRES_PART)
    (folder / POSTGRES_PART).write_bytes(dump)
    part = Part(POSTGRES_PART, hashlib.sha256(dump).hexdigest(), len(dump))
    told = msgspec.structs.replace(manifest, database="postgresql", parts=(part, *manifest.parts[1:]))
    (folder / NAME).write_bytes(encode(told))
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        assert not verify(folder).checked
    (tmp_path / "pg_restore").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "pg_restore").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(DamagedError):
        verify(folder)


def test_an_option_of_the_address_that_would_get_lost_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="option=options"):
        postgres.dump(normalise_url("postgresql://u:p@127.0.0.1:1/x?options=-c"), tmp_path / "dump")
    assert not (tmp_path / "dump").exists()
