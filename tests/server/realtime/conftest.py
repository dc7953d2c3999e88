"""One real server process for each database, shared by the tests of a session: each test makes its own people."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.process import ServerProcess, World, start_server_process
from tests.server.realtime.device import no_socket_left
from tests.support.postgres import PostgresServer, postgres_is_available

__all__ = ["no_socket_left"]

_ON_POSTGRES = pytest.param("postgresql", marks=pytest.mark.slow, id="postgresql")
_KINDS = ["sqlite", _ON_POSTGRES] if os.name == "posix" and postgres_is_available() else ["sqlite"]


@contextlib.contextmanager
def _running(request: pytest.FixtureRequest, folder: Path, database: str) -> Iterator[ServerProcess]:
    """A server of the wanted kind; it must end well and log no error."""
    url = None
    if request.param == "postgresql":
        postgres: PostgresServer = request.getfixturevalue("postgres_server")
        template, made = request.getfixturevalue("made_on_postgres")
        url = postgres.create_database(database, template=template)
    else:
        made = request.getfixturevalue("made_server")
    shutil.copytree(made, folder / "data")
    with (folder / "log").open("w") as log:
        running = start_server_process(folder / "data", url, log=log)
        yield running
        code = running.stop()
    text = (folder / "log").read_text()
    assert code == 0, text
    assert "[error" not in text, text


@pytest.fixture(scope="session", params=_KINDS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A running server."""
    with _running(request, tmp_path_factory.mktemp("server"), f"gateway_{secrets.token_hex(4)}") as running:
        yield running


@pytest.fixture(scope="session")
def world(server: ServerProcess) -> World:
    """Its people."""
    return asyncio.run(World.of(server))


@pytest.fixture(params=_KINDS)
def own_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServerProcess]:
    """A running server for one test that changes what the others' people rely on, such as its keys."""
    with _running(request, tmp_path, f"own_{secrets.token_hex(4)}") as running:
        yield running


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder for a server of the test's own."""
    return tmp_path / "data"
