"""One contract, both databases: a fresh one at the newest schema for each test."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mensajeria.server.chats.log import EventLog, NewEvent
from mensajeria.server.db.engine import Database
from mensajeria.server.db.migrate import migrate
from mensajeria.server.realtime.gateway import event_log
from tests.server.people import Person, insert_direct_chat, insert_people
from tests.support.postgres import PostgresServer, postgres_is_available

SERVER_ID = bytes(16)


@dataclass(slots=True)
class Store:
    """A database with a few people and chats in it."""

    db: Database
    url: str
    people: list[Person] = field(default_factory=list)
    chats: list[tuple[int, bytes]] = field(default_factory=list)
    logs: list[EventLog] = field(default_factory=list)

    def log(self) -> EventLog:
        """A log of its own, as another worker would have it."""
        self.logs.append(event_log(self.db))
        return self.logs[-1]


# Both are made before any test, so that the check for blocking calls does not watch the migration.
@pytest.fixture(scope="session", autouse=True)
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file at the newest schema, to be copied."""
    path = tmp_path_factory.mktemp("schema") / "template.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session", autouse=True)
def postgres_template(request: pytest.FixtureRequest) -> str | None:
    """The name of a database at the newest schema, to be copied; None where there is no PostgreSQL."""
    if os.name != "posix" or not postgres_is_available():
        return None
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.template("schema", lambda url: void(migrate(url)))


def void(_result: object) -> None:
    """Drop a result."""


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database at the newest schema."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "test.db")
        return f"sqlite:///{tmp_path / 'test.db'}"
    make = request.getfixturevalue("postgres_database")
    return str(make(request.getfixturevalue("postgres_template")))


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    """A database with four people and their chats: 0 with 1, 0 with 2, 1 with 2 (a request); 3 is alone."""
    store = Store(await asyncio.to_thread(Database, database_url), database_url)
    store.people = await store.db.write(lambda db: insert_people(db, 4))
    one, two, three, _ = store.people
    store.chats = await store.db.write(
        lambda db: [
            insert_direct_chat(db, SERVER_ID, one, two),
            insert_direct_chat(db, SERVER_ID, one, three),
            insert_direct_chat(db, SERVER_ID, two, three, accepted=False),
        ]
    )
    yield store
    for log in store.logs:
        await log.close()
    await store.db.close()


def message(
    chat: int, mid: int, body: bytes | None = None, *, epoch: int = 0, ts: int = 1000, accepts: int = 0
) -> NewEvent:
    """A message row; its body follows from its mid unless given."""
    encoded = mid.to_bytes(16, "big")
    return NewEvent(chat, encoded, epoch, 0, ts, b"body of " + encoded if body is None else body, accepts)
