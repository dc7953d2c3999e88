"""One contract, both databases: a fresh one at the newest schema for each test."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import Connection

from mensajeria.server.chats.log import EventLog, NewEvent
from mensajeria.server.db.engine import Database
from mensajeria.server.db.migrate import migrate
from mensajeria.server.realtime.gateway import event_log
from tests.server.people import Person, insert_direct_chat, insert_people
from tests.support.lifeline import MadeOnce
from tests.support.postgres import PostgresServer, postgres_is_available

SERVER_ID = bytes(16)
POSTGRESQL = [pytest.param("postgresql", marks=pytest.mark.slow, id="postgresql")]


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


@dataclass(frozen=True, slots=True)
class Template:
    """A database to be copied, and who is in it."""

    name: str
    people: list[Person]
    chats: list[tuple[int, bytes]]


# Both are made before any test, so that the check for blocking calls does not watch the migration.
@pytest.fixture(scope="session", autouse=True)
def sqlite_template(made_once: MadeOnce, tmp_path_factory: pytest.TempPathFactory) -> Template:
    """A file."""
    schema = made_once("schema", lambda folder: void(migrate(f"sqlite:///{folder / 'schema.db'}")))
    path = tmp_path_factory.mktemp("schema") / "template.db"
    shutil.copy(schema / "schema.db", path)
    return Template(str(path), *asyncio.run(_fill(f"sqlite:///{path}")))


@pytest.fixture(scope="session", autouse=True)
def postgres_template(request: pytest.FixtureRequest) -> Template | None:
    """A database of the server, None where there is no PostgreSQL or nobody asks for it."""
    asked = any("[postgresql" in item.name for item in request.session.items)
    if not asked or os.name != "posix" or not postgres_is_available():
        return None
    made: list[tuple[list[Person], list[tuple[int, bytes]]]] = []

    def prepare(url: str) -> None:
        migrate(url)
        made.append(asyncio.run(_fill(url)))

    server: PostgresServer = request.getfixturevalue("postgres_server")
    return Template(server.template("storage", prepare), *made[0])


async def _fill(url: str) -> tuple[list[Person], list[tuple[int, bytes]]]:
    """Four people and their chats: 0 with 1, 0 with 2, 1 with 2 (a request); 3 is alone."""

    def fill(db: Connection) -> tuple[list[Person], list[tuple[int, bytes]]]:
        people = insert_people(db, 4)
        one, two, three, _ = people
        return people, [
            insert_direct_chat(db, SERVER_ID, one, two),
            insert_direct_chat(db, SERVER_ID, one, three),
            insert_direct_chat(db, SERVER_ID, two, three, accepted=False),
        ]

    database = Database(url)
    try:
        return await database.write(fill)
    finally:
        await database.close()


def void(_result: object) -> None:
    """Drop a result."""


@pytest.fixture(params=["sqlite", *POSTGRESQL])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database at the newest schema, with the people in it."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template").name, tmp_path / "test.db")
        return f"sqlite:///{tmp_path / 'test.db'}"
    make = request.getfixturevalue("postgres_database")
    return str(make(request.getfixturevalue("postgres_template").name))


@pytest.fixture
async def store(
    database_url: str, sqlite_template: Template, postgres_template: Template | None
) -> AsyncIterator[Store]:
    """The database of the four people."""
    filled = sqlite_template if database_url.startswith("sqlite") else postgres_template
    assert filled is not None
    opened = await asyncio.to_thread(Database, database_url)
    store = Store(opened, database_url, list(filled.people), list(filled.chats))
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
