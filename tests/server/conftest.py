"""What is made once for a process that runs tests of the server; the fixtures that use it are in fixtures.py."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from tests.server.fixtures import make_in_a_process
from tests.support.blocking import forbid_blocking
from tests.support.lifeline import MadeOnce
from tests.support.postgres import PostgresServer

__all__ = ["forbid_blocking"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What starts a whole server for itself is slow, but for a few tests of each part that are marked `quick`.

    So is what needs PostgreSQL.
    """
    for item in items:
        asked = set(getattr(item, "fixturenames", ()))
        costly = {"settings", "database_url"} <= asked or "postgres_server" in asked
        if costly and Path(__file__).parent in item.path.parents and item.get_closest_marker("quick") is None:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def made_on_postgres(postgres_server: PostgresServer, made_once: MadeOnce) -> tuple[str, Path]:
    """As `made_server`, on PostgreSQL: the name of a database and the data folder, to copy."""

    def make(folder: Path) -> None:
        name = f"template_server_{secrets.token_hex(6)}"
        make_in_a_process(folder / "data", postgres_server.create_database(name))
        (folder / "name").write_text(name)

    made = made_once("on-postgres", make)
    return (made / "name").read_text(), made / "data"
