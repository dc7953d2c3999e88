"""Opening the encrypted file: pragmas, the check of the key, creation, migration. Runs in the store's thread only.

A file is made in one piece under another name and renamed, so that its first page always lies in it (not only in the
write-ahead log): a wrong key is recognised from that page alone, before anything could touch the file.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import quote

from sqlcipher3 import dbapi2

from mensajeria.client.errors import ProfileError
from mensajeria.client.files import sync_folder, write_private
from mensajeria.client.store import schema
from mensajeria.kit.secrets import Secret

KEY_BYTES: Final = 32
PAGE_BYTES: Final = 4096  # SQLCipher's own default
MEMORY_SECURITY: Final = "ON"
"""Wipes and locks whatever SQLite allocates, for about five times the CPU of a write (docs/protocol/e2ee.md §1)."""
_STATEMENTS: Final = 256
_BUSY_S: Final = 5.0


def open_store(path: Path, key: Secret) -> dbapi2.Connection:
    """Open the file with its 32-byte key and bring it to the newest version.

    Raises:
        ProfileError: key_lost (the key does not fit or the file is damaged; the file is untouched), profile_missing,
            profile_damaged, profile_newer, store_failed.
    """
    if not path.is_file():
        raise ProfileError("profile_missing", "there is no store")
    if path.stat().st_size == 0:  # to SQLite an empty file is a new database, and every key fits
        raise ProfileError("profile_damaged", "the store is empty")
    _check_key(path, key)
    try:
        connection = _connect(path, key)
    except dbapi2.Error as error:
        raise ProfileError("store_failed", str(error)) from error
    try:
        _migrate(connection)
    except ProfileError:
        connection.close()
        raise
    except dbapi2.Error as error:
        connection.close()
        raise ProfileError("store_failed", str(error)) from error
    return connection


Fill = Callable[[dbapi2.Connection], None]
"""Puts the first content into a new store, inside one transaction."""


def create_store(path: Path, key: Secret, fill: Fill | None = None) -> None:
    """Make a file, empty or with what `fill` puts in; complete or not at all.

    Raises ProfileError (profile_exists, store_failed), and what `fill` raises.
    """
    if path.exists():
        raise ProfileError("profile_exists", "there is a store already")
    draft = path.with_name(path.name + ".new")
    try:
        for leftover in (draft, Path(f"{draft}-journal")):
            leftover.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        connection = _connect(draft, key, journal="DELETE")
        try:
            _migrate(connection)
            if fill is not None:
                _fill(connection, fill)
        finally:
            connection.close()
        draft.rename(path)
        sync_folder(path.parent)
    except (dbapi2.Error, OSError) as error:
        raise ProfileError("store_failed", str(error)) from error


def _fill(connection: dbapi2.Connection, fill: Fill) -> None:
    connection.execute("BEGIN")
    fill(connection)
    connection.execute("COMMIT")


def snapshot(path: Path, key: Secret) -> dbapi2.Connection:
    """A connection of its own that reads the store as it is at this moment, whoever writes meanwhile.

    Raises ProfileError: store_failed.
    """
    try:
        connection = _connect(path, key)
        connection.execute("PRAGMA query_only = ON")
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM meta").fetchone()
    except dbapi2.Error as error:
        raise ProfileError("store_failed", str(error)) from error
    return connection


def _connect(path: Path, key: Secret, journal: str = "WAL") -> dbapi2.Connection:
    connection = dbapi2.connect(
        str(path), timeout=_BUSY_S, isolation_level=None, cached_statements=_STATEMENTS, check_same_thread=True
    )
    try:
        _set_key(connection, key)
        for pragma in (
            f"journal_mode = {journal}",
            "synchronous = FULL",
            "fullfsync = ON",
            "secure_delete = ON",
            "temp_store = MEMORY",
            "foreign_keys = ON",
            "trusted_schema = OFF",
            "wal_autocheckpoint = 1000",
            "journal_size_limit = 8388608",
            "cache_size = -16384",
        ):
            connection.execute(f"PRAGMA {pragma}")
    except dbapi2.Error:
        connection.close()
        raise
    return connection


def _set_key(connection: dbapi2.Connection, key: Secret) -> None:
    raw = key.reveal()
    if len(raw) != KEY_BYTES:
        raise ProfileError("key_lost", "the key has the wrong length")
    connection.execute("PRAGMA cipher_log_level = NONE")
    connection.execute(f"PRAGMA cipher_memory_security = {MEMORY_SECURITY}")
    connection.execute(f"PRAGMA key = \"x'{raw.hex()}'\"")


def _check_key(path: Path, key: Secret) -> None:
    """Authenticate the first page, touching nothing. Raises ProfileError: key_lost, store_failed."""
    try:
        fits = _is_first_page_authentic(path, key) or _is_logged_page_authentic(path, key)
    except (dbapi2.Error, OSError) as error:
        raise ProfileError("store_failed", str(error)) from error
    if not fits:
        raise ProfileError("key_lost", "the key does not fit the store, or the file is damaged")


def _is_first_page_authentic(path: Path, key: Secret, options: str = "mode=ro&immutable=1") -> bool:
    """Whether the first page belongs to the key; by default through a handle that ignores the write-ahead log."""
    connection = dbapi2.connect(f"file:{quote(str(path))}?{options}", uri=True, isolation_level=None)
    try:
        _set_key(connection, key)
        # A checkpoint that was cut off leaves a first page that counts pages which only the log has. SQLite would call
        # that malformed; with this it goes by the file's size. The log is used when the store is opened.
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("PRAGMA schema_version").fetchone()  # stands in the first page, and parses no table
    except dbapi2.DatabaseError as error:
        if "not a database" in str(error):
            return False
        raise
    finally:
        connection.close()
    return True


def _is_logged_page_authentic(path: Path, key: Secret) -> bool:
    """The same of the newest first page in the write-ahead log: a power cut can leave half a page in the file."""
    log = _log(path)
    if not log.is_file() or log.stat().st_size == 0:
        return False
    copy = path.with_name(path.name + ".check")
    try:
        with path.open("rb") as file:
            write_private(copy, file.read(PAGE_BYTES))
        shutil.copy(log, _log(copy))
        return _is_first_page_authentic(copy, key, "mode=rw")
    finally:
        for leftover in path.parent.glob(f"{copy.name}*"):
            leftover.unlink()


def _log(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _migrate(connection: dbapi2.Connection) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > schema.VERSION:
        raise ProfileError("profile_newer", f"store version {version}, this program knows {schema.VERSION}")
    for number in range(version, schema.VERSION):
        # One transaction for each version: a crash leaves the old version or the new one.
        connection.execute("BEGIN EXCLUSIVE")
        try:
            for statement in _statements(schema.MIGRATIONS[number]):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number + 1}")
            connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
            connection.execute("COMMIT")
        except dbapi2.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _statements(script: str) -> list[str]:
    """The statements of a script, one by one: `executescript` would commit the open transaction."""
    found, current = [], ""
    for line in script.splitlines():
        current += line + "\n"
        if dbapi2.complete_statement(current):
            found.append(current.strip())
            current = ""
    return [statement for statement in found if statement]
