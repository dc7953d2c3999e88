"""SQLite in a backup: copied beside a server that writes, and looked into."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from mensajeria.server.admin.backups.errors import DamagedError
from mensajeria.server.admin.backups.manifest import SQLITE_PART

WAIT_S: Final = 30.0


def copy_database(source: Path, target: Path) -> None:
    """One moment of the database, with everything that was committed before: a file of its own, without a log.

    The one-time keys stay out: given out again after a restore, they would serve twice.
    """
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with closing(sqlite3.connect(source, timeout=WAIT_S)) as live, closing(sqlite3.connect(target)) as copy:
        live.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE").fetchall()
        with copy:
            copy.execute("DELETE FROM one_time_key")


@contextmanager
def copied(path: Path) -> Iterator[Connection]:
    """A connection to a copy that nobody else has open. Reads only, and runs nothing that stands in the file.

    Raises:
        DamagedError: it is no database, or not as SQLite wants it.
    """
    engine = create_engine("sqlite://", creator=lambda: _open(path), poolclass=NullPool, hide_parameters=True)
    try:
        with engine.connect() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise DamagedError(SQLITE_PART) from error
    finally:
        engine.dispose()


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def check_integrity(connection: Connection) -> None:
    """Raises DamagedError."""
    found = [row[0] for row in connection.exec_driver_sql("PRAGMA integrity_check(1)")]
    orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchone()
    if found != ["ok"] or orphans is not None:
        raise DamagedError(SQLITE_PART)


@contextmanager
def changed(path: Path) -> Iterator[Connection]:
    """One transaction on a copy that nobody else has open; no log stays beside it."""
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool, hide_parameters=True)
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql("PRAGMA foreign_keys = ON")
            yield connection
    finally:
        engine.dispose()
