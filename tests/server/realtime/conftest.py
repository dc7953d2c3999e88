"""One real server process for each database, shared by the tests of a session: each test makes its own people."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.server.process import ServerProcess, World, start_server_process
from tests.server.realtime.device import Device
from tests.support.postgres import PostgresServer, postgres_is_available

_KINDS = ["sqlite", "postgresql"] if os.name == "posix" and postgres_is_available() else ["sqlite"]


@pytest.fixture(scope="session", params=_KINDS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A running server."""
    url = None
    if request.param == "postgresql":
        postgres: PostgresServer = request.getfixturevalue("postgres_server")
        url = postgres.create_database(f"gateway_{os.getpid()}")
    folder = tmp_path_factory.mktemp("server")
    with (folder / "log").open("w") as log:
        running = start_server_process(folder / "data", url, log=log)
        yield running
        code = running.stop()
    text = (folder / "log").read_text()
    assert code == 0, text
    assert "[error" not in text, text


@pytest.fixture(scope="session")
def world(server: ServerProcess) -> World:
    """Its people."""
    return asyncio.run(World.of(server))


@pytest.fixture(autouse=True)
async def no_socket_left() -> AsyncIterator[None]:
    """Close what the test has opened."""
    yield
    while Device.opened:
        await Device.opened.pop().disconnect()
    await asyncio.sleep(0)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder for a server of the test's own."""
    return tmp_path / "data"
