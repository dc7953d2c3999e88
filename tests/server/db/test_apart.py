"""Migrations in a process of their own: their errors come back, and nothing of it stays."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.exc import SQLAlchemyError

from mensajeria.server.db.apart import migrate_apart
from mensajeria.server.db.revision import SchemaError, head_revision
from mensajeria.server.findings import Finding

pytestmark = pytest.mark.slow


def _children() -> set[str]:
    return {pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


def _version(file: Path, new: str | None = None) -> str:
    with sqlite3.connect(file) as connection:
        if new is not None:
            connection.execute("UPDATE alembic_version SET version_num = ?", (new,))
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="Linux tells which processes one has started")
def test_a_database_is_migrated_and_no_process_stays(tmp_path: Path) -> None:
    before = _children()
    migrate_apart(f"sqlite:///{tmp_path / 'mensajeria.db'}")
    assert _version(tmp_path / "mensajeria.db") == head_revision()
    assert _children() <= before


def test_a_schema_of_a_newer_program_is_told_as_what_it_is(tmp_path: Path) -> None:
    file = tmp_path / "año nuevo" / "mensajeria.db"
    file.parent.mkdir()
    url = f"sqlite:///{file}"
    migrate_apart(url)
    _version(file, "9999")
    with pytest.raises(SchemaError) as caught:
        migrate_apart(url)
    assert caught.value.findings == (Finding.SCHEMA_UNKNOWN(current="9999"),)


def test_a_database_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        migrate_apart(f"sqlite:///{tmp_path / 'missing' / 'mensajeria.db'}")


def test_a_library_that_prints_does_not_spoil_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text("import atexit\nprint('hello')\natexit.register(print, 'bye')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    migrate_apart(f"sqlite:///{tmp_path / 'mensajeria.db'}")
    assert _version(tmp_path / "mensajeria.db") == head_revision()


def test_a_process_that_dies_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os\nos._exit(9)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(SQLAlchemyError, match="the migration ended with 9"):
        migrate_apart(f"sqlite:///{tmp_path / 'mensajeria.db'}")
