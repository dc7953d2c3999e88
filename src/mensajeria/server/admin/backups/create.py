"""Making a backup, beside a running server or without one."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.engine import URL

from mensajeria.kit.clock import Clock, SystemClock
from mensajeria.kit.secrets import Secret
from mensajeria.server.admin.audit import Act, record
from mensajeria.server.admin.backups import postgres, sqlite
from mensajeria.server.admin.backups.errors import DamagedError
from mensajeria.server.admin.backups.manifest import DATABASES, SECRETS, Kind, Manifest
from mensajeria.server.admin.backups.writing import BackupWriter, add_bytes, writer_for
from mensajeria.server.admin.work import in_transaction, operator, reading
from mensajeria.server.db.engine import normalise_url
from mensajeria.server.db.revision import head_revision
from mensajeria.server.facts import Facts, StateError, read_facts
from mensajeria.server.findings import Finding
from mensajeria.server.keyfiles import KeyFiles, load_key_files
from mensajeria.server.settings import Settings
from mensajeria.server.version import VERSION

_SEALED: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Made:
    """A backup: `checked` tells whether its database was looked into, too, beside its hashes."""

    manifest: Manifest
    size: int
    checked: bool = False


def create(settings: Settings, target: Path, *, with_secrets: bool = True, clock: Clock | None = None) -> Made:
    """Write a backup to `target`: one tar when it ends in `.tar`, otherwise a folder. It appears whole or not at all.

    What the server had confirmed before this call is in it. The database first, then the files: every file that the
    database knows is there, but for one that is deleted meanwhile.

    Raises:
        BackupError: `target_exists`, `tool_missing`, `tool_failed`.
        StateError: there is no server here, its secrets are not its own, or they were rotated meanwhile.
        SchemaError, OSError, sqlite3.Error, sqlalchemy.exc.SQLAlchemyError.
    """
    now_ms = (clock or SystemClock()).now_ms()
    writer = writer_for(target)
    url = normalise_url(settings.effective_database_url)
    kind: Kind = "sqlite" if url.get_backend_name() == "sqlite" else "postgresql"
    if kind == "postgresql":
        postgres.require(postgres.DUMP)
    facts = _facts(settings)
    before = _secrets(settings, facts) if with_secrets else {}
    with writer:
        _copy_database(url, writer.scratch)
        writer.add_scratch(DATABASES[kind])
        if with_secrets and not _same(before, _secrets(settings, facts)):
            raise StateError(Finding.BACKUP_KEYS_ROTATED())
        for name, content in before.items():
            add_bytes(writer, f"secrets/{name}", content.reveal())
        _add_files(settings, writer)
        manifest = writer.finish(_manifest(settings, facts, kind, with_secrets=with_secrets, now_ms=now_ms))
    in_transaction(settings, lambda connection: _note(connection, target, now_ms))
    return Made(manifest, sum(part.size for part in manifest.parts))


def _note(connection: Connection, target: Path, now_ms: int) -> None:
    record(connection, Act.BACKUP_MADE, actor=operator(), target=target.name, now_ms=now_ms)


def _facts(settings: Settings) -> Facts:
    facts = reading(settings, read_facts)
    if facts is None:
        raise StateError(Finding.IDENTITY_MISSING())
    return facts


def _secrets(settings: Settings, facts: Facts) -> dict[str, Secret]:
    folder = settings.secrets_dir
    keys: KeyFiles | None = load_key_files(folder)
    if keys is None:
        raise StateError(Finding.BACKUP_NO_SECRETS_HERE(path=folder))
    if keys.fingerprint != facts.keys:
        raise StateError(Finding.SECRETS_FOREIGN(path=folder))
    return {name: Secret((folder / name).read_bytes()) for name in sorted(SECRETS) if (folder / name).exists()}


def _same(one: dict[str, Secret], other: dict[str, Secret]) -> bool:
    return one.keys() == other.keys() and all(one[name].reveal() == other[name].reveal() for name in one)


def _copy_database(url: URL, target: Path) -> None:
    if url.get_backend_name() == "sqlite":
        sqlite.copy_database(Path(url.database or ""), target)
    else:
        postgres.dump(url, target)


def _manifest(settings: Settings, facts: Facts, kind: Kind, *, with_secrets: bool, now_ms: int) -> Manifest:
    return Manifest(
        created_ms=now_ms,
        database=kind,
        files="folder" if settings.s3_bucket is None else "bucket",
        keys=facts.keys.hex(),
        parts=(),
        program=VERSION,
        restore_epoch=facts.restore_epoch,
        schema=head_revision(),
        secrets=with_secrets,
        server_id=facts.server_id.hex(),
    )


def _add_files(settings: Settings, writer: BackupWriter) -> None:
    if settings.s3_bucket is not None:
        return
    for path in _sealed(settings.data_dir / "files"):
        try:
            with path.open("rb") as source:
                writer.add(f"files/{path.parent.name}/{path.name}", source, os.fstat(source.fileno()).st_size)
        except FileNotFoundError:  # deleted meanwhile
            continue


def _sealed(root: Path) -> Iterator[Path]:
    """The files that are complete: they never change."""
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if _SEALED.fullmatch(path.name) and path.name.startswith(folder.name):
                if not stat.S_ISREG(path.lstat().st_mode):
                    raise DamagedError(f"files/{folder.name}/{path.name}")
                yield path
