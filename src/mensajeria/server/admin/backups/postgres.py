"""PostgreSQL in a backup: by its own `pg_dump` and `pg_restore`, which know every version's ways."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from sqlalchemy.engine import URL

from mensajeria.server.admin.backups.errors import BackupError
from mensajeria.server.facts import StateError
from mensajeria.server.findings import Finding

DUMP: Final = "pg_dump"
RESTORE: Final = "pg_restore"
MAX_SAID: Final = 300
_OPTIONS: Final = {
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "host": "PGHOST",
}


def dump(url: URL, target: Path) -> None:
    """Write one moment of the database to a new file, in the custom format, without the one-time keys.

    Raises:
        BackupError: `tool_missing`, `tool_failed`.
        StateError: the address has an option that these programs do not know.
    """
    environment = _environment(url)
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    options = ("--format=custom", "--no-owner", "--no-privileges", "--no-password", "--exclude-table-data=one_time_key")
    _run(DUMP, *options, f"--file={target}", environment=environment)


def restore(url: URL, source: Path) -> None:
    """Put a dump into an empty database, in one transaction; raises as `dump`."""
    options = ("--no-owner", "--no-privileges", "--no-password", "--single-transaction", "--exit-on-error")
    environment = _environment(url)
    _run(RESTORE, *options, f"--dbname={environment['PGDATABASE']}", str(source), environment=environment)


def can_check() -> bool:
    """Whether a dump can be looked into here."""
    return shutil.which(RESTORE) is not None


def check(source: Path) -> None:
    """Read a dump's table of contents; raises as `dump`."""
    _run(RESTORE, "--list", str(source), environment=dict(os.environ))


def require(tool: str) -> str:
    """Where the program lies; raises BackupError `tool_missing`."""
    found = shutil.which(tool)
    if found is None:
        raise BackupError("tool_missing", name=tool)
    return found


def _run(tool: str, *arguments: str, environment: dict[str, str]) -> None:
    done = subprocess.run(  # noqa: S603 - the program that stands first on the operator's own PATH
        [require(tool), *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise BackupError("tool_failed", name=tool, detail=(said or [str(done.returncode)])[0][:MAX_SAID])


def _environment(url: URL) -> dict[str, str]:
    """Where the database is, for PostgreSQL's own programs: the password is in no command line."""
    found = {
        "PGHOST": url.host,
        "PGPORT": None if url.port is None else str(url.port),
        "PGUSER": url.username,
        "PGPASSWORD": None if url.password is None else str(url.password),
        "PGDATABASE": url.database or url.username or "postgres",
    }
    for name, value in url.query.items():
        if name not in _OPTIONS or not isinstance(value, str):
            raise StateError(Finding.BACKUP_DATABASE_OPTION(option=name))
        found[_OPTIONS[name]] = value
    return os.environ | {name: value for name, value in found.items() if value is not None}
