"""Checking a backup: every hash, and the database itself."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mensajeria.server.admin.backups import postgres, sqlite
from mensajeria.server.admin.backups.content import check_facts, check_secrets
from mensajeria.server.admin.backups.create import Made
from mensajeria.server.admin.backups.errors import BackupError, DamagedError
from mensajeria.server.admin.backups.manifest import DATABASES, Part
from mensajeria.server.admin.backups.reading import BackupReader, FolderReader, open_backup
from mensajeria.server.admin.backups.writing import create_private


def verify(source: Path) -> Made:
    """Read everything: hashes, SQLite's own check, that database, manifest and secrets belong together.

    A dump of PostgreSQL is looked into when `pg_restore` is here: `Made.checked` tells.

    Raises:
        BackupError: `backup_missing`, `server_backup_damaged`, `server_backup_newer`.
        OSError: it cannot be read.
    """
    return verify_opened(open_backup(source))


def verify_opened(reader: BackupReader) -> Made:
    """As `verify`."""
    for part in reader.manifest.parts:
        for _ in reader.blocks(part):
            pass
    check_secrets(reader)
    with _database(reader) as path:
        if reader.manifest.database == "sqlite":
            with sqlite.copied(path) as connection:
                sqlite.check_integrity(connection)
                check_facts(connection, reader.manifest)
            return Made(reader.manifest, reader.size, checked=True)
        return Made(reader.manifest, reader.size, checked=_check_dump(path))


def _check_dump(path: Path) -> bool:
    if not postgres.can_check():
        return False
    try:
        postgres.check(path)
    except BackupError as error:
        raise DamagedError(path.name) from error
    return True


@contextmanager
def _database(reader: BackupReader) -> Iterator[Path]:
    """The database as a file: where it lies, or out of the tar for as long as it is looked at."""
    name = DATABASES[reader.manifest.database]
    if isinstance(reader, FolderReader):
        yield reader.path / name
        return
    beside = reader.path.absolute().parent
    with tempfile.TemporaryDirectory(dir=beside if os.access(beside, os.W_OK) else None) as folder:
        path = Path(folder) / name
        extract(reader, next(part for part in reader.manifest.parts if part.path == name), path)
        yield path


def extract(reader: BackupReader, part: Part, target: Path) -> None:
    """Write a part to a new file for its owner alone; raises DamagedError when it is not the manifest's."""
    with create_private(target) as file:
        for block in reader.blocks(part):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
