"""What a backup's database and its other parts must be to each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, delete, func, select

from mensajeria.kit.secrets import Secret
from mensajeria.server.admin.audit import Act, record
from mensajeria.server.admin.backups.errors import DamagedError
from mensajeria.server.admin.backups.manifest import DATABASES, Manifest
from mensajeria.server.admin.backups.reading import BackupReader
from mensajeria.server.admin.content import raise_restore_epoch
from mensajeria.server.admin.work import operator
from mensajeria.server.db.revision import current_revision
from mensajeria.server.db.schema import one_time_key
from mensajeria.server.db.schema_content import file
from mensajeria.server.facts import StateError, read_facts
from mensajeria.server.keyfiles import CHANNEL_KEY, LOG_KEY, OPAQUE_SETUP, SIZES, TOKEN_KEY, KeyFiles

_BATCH: Final = 500


def check_facts(connection: Connection, manifest: Manifest) -> None:
    """The database is the one that the manifest tells of; raises DamagedError."""
    part = DATABASES[manifest.database]
    try:
        facts = read_facts(connection)
    except StateError as error:
        raise DamagedError(part) from error
    if facts is None:
        raise DamagedError(part)
    told = (manifest.server_id, manifest.restore_epoch, manifest.keys, manifest.schema)
    if told != (facts.server_id.hex(), facts.restore_epoch, facts.keys.hex(), current_revision(connection)):
        raise DamagedError(part)
    if connection.execute(select(func.count()).select_from(one_time_key)).scalar_one():
        raise DamagedError(part)


def check_secrets(reader: BackupReader) -> None:
    """The secrets in the backup, if any, are whole and those of its database; raises DamagedError."""
    if not reader.manifest.secrets:
        return
    found: dict[str, Secret] = {}
    for part in reader.manifest.parts:
        name = part.path.removeprefix("secrets/")
        if name in SIZES:
            if part.size != SIZES[name]:
                raise DamagedError(part.path)
            found[name] = Secret(reader.whole(part))
    keys = KeyFiles(found[OPAQUE_SETUP], found[CHANNEL_KEY], found[TOKEN_KEY], found[LOG_KEY])
    if keys.fingerprint.hex() != reader.manifest.keys:
        raise DamagedError("secrets")


def declare(
    connection: Connection, manifest: Manifest, files: Mapping[bytes, int] | None, *, after_epoch: int, now_ms: int
) -> int:
    """Everything that a restored database needs, in one transaction; the new epoch.

    `files`: size by id of those that came back, None when they are kept elsewhere.

    Raises:
        DamagedError: it is another server's; of a dump of PostgreSQL nobody knew that before.
    """
    facts = read_facts(connection)
    if facts is None or (facts.server_id.hex(), facts.keys.hex()) != (manifest.server_id, manifest.keys):
        raise DamagedError(DATABASES[manifest.database])
    epoch = raise_restore_epoch(connection, above=after_epoch)
    if files is not None:
        _forget_files_without_bytes(connection, files)
    record(
        connection,
        Act.BACKUP_RESTORED,
        actor=operator(),
        target=manifest.server_id,
        now_ms=now_ms,
        detail=f"of {manifest.created_ms}",
    )
    return epoch


def _forget_files_without_bytes(connection: Connection, files: Mapping[bytes, int]) -> None:
    """An upload that was under way begins anew; a file that was deleted while the backup was made is gone."""
    rows = connection.execute(select(file.c.id, file.c.file_id, file.c.size, file.c.done)).all()
    lost = [row.id for row in rows if not row.done or files.get(row.file_id) != row.size]
    for start in range(0, len(lost), _BATCH):
        connection.execute(delete(file).where(file.c.id.in_(lost[start : start + _BATCH])))


def known_files(connection: Connection) -> set[bytes]:
    """Ids of the files that the database knows."""
    return set(connection.execute(select(file.c.file_id)).scalars())
