"""Servers without a socket, on both databases: imported by the conftest of each folder that wants them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select

from mensajeria.kit.clock import FakeClock
from mensajeria.server.db.schema import metadata
from mensajeria.server.main import create_app
from mensajeria.server.settings import Settings
from mensajeria.server.startup import start_server
from mensajeria.server.state import Server

DATABASES = ("sqlite", pytest.param("postgresql", marks=pytest.mark.slow, id="postgresql"))
"""The quick tests use SQLite; `make test` runs the same ones on PostgreSQL."""
ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For tests in which the database has no part: once is enough."""


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The database of a server, whose secrets are in `tmp_path / "data"`, of each kind."""
    if request.param == "sqlite":
        shutil.copytree(request.getfixturevalue("made_server"), tmp_path / "data")
        return f"sqlite:///{tmp_path / 'data' / 'mensajeria.db'}"
    template, folder = request.getfixturevalue("made_on_postgres")
    shutil.copytree(folder, tmp_path / "data")
    make: Callable[[str | None], str] = request.getfixturevalue("postgres_database")
    return make(template)


def migrate_in_a_process(url: str) -> None:
    """Not in this one: a coroutine test watches for blocking calls already here, and a migration reads files."""
    _in_a_process("import sys; from mensajeria.server.db.migrate import migrate; migrate(sys.argv[1])", url)


def make_in_a_process(folder: Path, url: str) -> None:
    """Make a server: a migrated database, with its facts, and the secret files that belong to it."""
    command = [sys.executable, "-m", "mensajeria.cli", "admin", "init", "--data-dir", str(folder), "--json"]
    environment = {**os.environ, "MENSAJERIA_DATABASE_URL": url}
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True, timeout=60)


def _in_a_process(program: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-c", program, *arguments], check=True, timeout=60)


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings.model_validate({"data_dir": tmp_path / "data", "database_url": database_url})


@pytest.fixture
async def server(settings: Settings, clock: FakeClock) -> AsyncIterator[Server]:
    """The services, without the real-time part."""
    running = await start_server(settings, clock)
    yield running
    await running.close()


@pytest.fixture
async def http(settings: Settings, clock: FakeClock) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the whole application, in the same loop; `app_server` is its server."""
    app = create_app(settings, clock)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 40000))
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            client.app_server = app.state.server  # type: ignore[attr-defined]
            yield client


@pytest.fixture
def app_server(http: httpx.AsyncClient) -> Server:
    """The services behind `http`."""
    found: Server = http.app_server  # type: ignore[attr-defined]
    return found


def void(_result: object) -> None:
    """Drop a result: what a write function returns must not outlive its connection."""


async def row_counts(server: Server) -> dict[str, int]:
    """How many rows each table has: what was refused must not change it."""
    async with server.db.read() as connection:
        return {
            table.name: (await connection.execute(select(func.count()).select_from(table))).scalar_one()
            for table in metadata.sorted_tables
        }
