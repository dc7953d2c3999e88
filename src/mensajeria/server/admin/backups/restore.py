"""Putting a backup into an empty place, as a declared restore: clients heal what it lacks, and call it no attack."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect
from sqlalchemy.engine import URL

from mensajeria.kit.clock import Clock, SystemClock
from mensajeria.server.admin.backups import postgres, sqlite
from mensajeria.server.admin.backups.content import declare, known_files
from mensajeria.server.admin.backups.create import Made
from mensajeria.server.admin.backups.errors import BackupError
from mensajeria.server.admin.backups.manifest import DATABASES, POSTGRES_PART, Manifest, file_path
from mensajeria.server.admin.backups.reading import BackupReader, open_backup
from mensajeria.server.admin.backups.verify import extract, verify_opened
from mensajeria.server.admin.backups.writing import make_folders, sync_folder, sync_folders
from mensajeria.server.admin.work import in_transaction
from mensajeria.server.db.engine import Database, normalise_url
from mensajeria.server.db.migrate import migrate
from mensajeria.server.db.revision import head_revision
from mensajeria.server.facts import StateError
from mensajeria.server.findings import Finding
from mensajeria.server.keyfiles import load_key_files
from mensajeria.server.settings import Settings

DRAFT: Final = ".restoring"
"""Where everything is made ready, inside the data folder: that may be a mount, which nothing can be renamed onto."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put back, and the epoch that the server tells from its start on."""

    made: Made
    restore_epoch: int


def restore(settings: Settings, source: Path, *, after_epoch: int = 0, clock: Clock | None = None) -> Restored:
    """Check a backup and put it into an empty data folder and an empty database. No server may run there.

    The database gets its name last: until then, nothing here can be started. `after_epoch`: the last epoch that clients
    may have seen, when it is higher than the backup's: they take no epoch for a new one that they have seen before.

    Raises:
        BackupError: see `verify`; `server_not_empty`, `server_backup_newer`, `tool_missing`, `tool_failed`.
        StateError: it does not fit these settings, or the secrets that lie here are another server's.
        OSError, sqlalchemy.exc.SQLAlchemyError.
    """
    now_ms = (clock or SystemClock()).now_ms()
    reader = open_backup(source)
    url = normalise_url(settings.effective_database_url)
    _refuse_misfit(settings, url, reader.manifest)
    _refuse_used(settings, url, reader.manifest)
    made = verify_opened(reader)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    _forget(settings, url)
    try:
        return Restored(made, _put_back(settings, url, reader, after_epoch=after_epoch, now_ms=now_ms))
    finally:
        _forget(settings, url)


def _refuse_misfit(settings: Settings, url: URL, manifest: Manifest) -> None:
    if manifest.schema > head_revision():
        raise BackupError("server_backup_newer")
    if manifest.database != url.get_backend_name():
        raise StateError(Finding.BACKUP_OTHER_DATABASE(theirs=manifest.database, ours=url.get_backend_name()))
    if manifest.files == "bucket" and settings.s3_bucket is None:
        raise StateError(Finding.BACKUP_FILES_IN_BUCKET())
    if manifest.files != "bucket" and settings.s3_bucket is not None:
        raise StateError(Finding.BACKUP_FILES_IN_FOLDER())
    if manifest.database == "postgresql":
        postgres.require(postgres.RESTORE)


def _refuse_used(settings: Settings, url: URL, manifest: Manifest) -> None:
    """Nothing may be lost that somebody might still want; a restore that was killed may be begun anew."""
    ours = {DRAFT, _draft_database(settings, url).name}
    if not manifest.secrets:
        ours.add(settings.secrets_dir.name)
    if settings.data_dir.exists() and any(entry.name not in ours for entry in settings.data_dir.iterdir()):
        raise BackupError("server_not_empty", place=settings.data_dir)
    if url.get_backend_name() == "sqlite":
        if Path(url.database or "").exists():
            raise BackupError("server_not_empty", place=url.database)
    elif asyncio.run(_tables(url)):
        raise BackupError("server_not_empty", place=url.database)


async def _tables(url: URL) -> list[str]:
    db = await asyncio.to_thread(Database, url.render_as_string(hide_password=False))
    try:
        return await db.query(lambda connection: inspect(connection).get_table_names())
    finally:
        await db.close()


def _draft_database(settings: Settings, url: URL) -> Path:
    """Where the database waits: SQLite's beside its place, which may be on another disk than the data folder."""
    if url.get_backend_name() == "sqlite":
        place = Path(url.database or "")
        return place.with_name(place.name + DRAFT)
    return settings.data_dir / DRAFT / POSTGRES_PART


def _forget(settings: Settings, url: URL) -> None:
    shutil.rmtree(settings.data_dir / DRAFT, ignore_errors=True)
    _draft_database(settings, url).unlink(missing_ok=True)


def _put_back(settings: Settings, url: URL, reader: BackupReader, *, after_epoch: int, now_ms: int) -> int:
    manifest, draft, database = reader.manifest, settings.data_dir / DRAFT, _draft_database(settings, url)
    files = _unpack(reader, draft, database)
    _refuse_other_secrets(draft / "secrets" if manifest.secrets else settings.secrets_dir, manifest)

    def prepare(connection: Connection) -> tuple[int, set[bytes]]:
        epoch = declare(connection, manifest, files, after_epoch=after_epoch, now_ms=now_ms)
        return epoch, known_files(connection)

    if manifest.database == "sqlite":
        migrate(f"sqlite:///{database}")
        with sqlite.changed(database) as connection:
            epoch, known = prepare(connection)
    else:
        postgres.restore(url, database)
        migrate(settings.effective_database_url)
        epoch, known = in_transaction(settings, prepare)
    for file_id in (files or {}).keys() - known:  # finished after the database was copied: nobody can ask for it
        (draft / file_path(file_id)).unlink()
    _move(draft, settings.data_dir)
    if manifest.database == "sqlite":
        place = Path(url.database or "")
        database.rename(place)
        sync_folder(place.parent)
    return epoch


def _unpack(reader: BackupReader, draft: Path, database: Path) -> Mapping[bytes, int] | None:
    """Everything to where it waits; the size of each file by its id, None when files are kept elsewhere."""
    draft.mkdir(mode=0o700)
    files: dict[bytes, int] = {}
    for part in reader.manifest.parts:
        target = database if part.path in DATABASES.values() else draft / part.path
        make_folders(draft, part.path)
        extract(reader, part, target)
        if part.path.startswith("files/"):
            files[bytes.fromhex(target.name)] = part.size
    sync_folders(draft)
    return files if reader.manifest.files == "folder" else None


def _refuse_other_secrets(folder: Path, manifest: Manifest) -> None:
    """Before anything is put anywhere. Those of the backup were checked with it."""
    keys = load_key_files(folder)
    if keys is None:
        raise StateError(Finding.BACKUP_WITHOUT_SECRETS(path=folder))
    if keys.fingerprint.hex() != manifest.keys:
        raise StateError(Finding.BACKUP_OTHER_SECRETS(path=folder))


def _move(draft: Path, data_dir: Path) -> None:
    for name in ("files", "secrets"):
        if (draft / name).exists():
            (draft / name).rename(data_dir / name)
    sync_folder(data_dir)
