"""What is made once for a process that runs tests of the server; the fixtures that use it are in fixtures.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.server.fixtures import make_in_a_process
from tests.support.lifeline import MadeOnce
from tests.support.postgres import PostgresServer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What starts a whole server for itself is slow, but for a few tests of each part that are marked `quick`."""
    for item in items:
        whole = {"settings", "database_url"} <= set(getattr(item, "fixturenames", ()))
        if whole and Path(__file__).parent in item.path.parents and item.get_closest_marker("quick") is None:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def made_server(made_once: MadeOnce) -> Path:
    """The data folder of a server that was started once, with its database of SQLite: to copy."""
    return made_once("server", lambda folder: make_in_a_process(folder, f"sqlite:///{folder / 'mensajeria.db'}"))


@pytest.fixture(scope="session")
def made_on_postgres(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The same on PostgreSQL: the name of a database and the data folder, to copy."""
    folder = tmp_path_factory.mktemp("made") / "data"
    return postgres_server.template("server", lambda url: make_in_a_process(folder, url)), folder
