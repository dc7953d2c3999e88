"""More slow writes than connections: others go on, who must write is told to come again, and then all is well."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import QueuePool
from sqlalchemy.util import await_only

from mensajeria.server.state import Server
from tests.server.enrol import Person, register
from tests.server.fixtures import void
from tests.server.groups import problem

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("database_url", ["postgresql"], indirect=True),
]
PATIENCE_S = 0.3
"""In place of the seconds that a request waits for a connection."""


@pytest.fixture
async def ana(app_server: Server) -> Person:
    return await register(app_server, "ana")


@pytest.fixture
def writing(app_server: Server, monkeypatch: pytest.MonkeyPatch) -> QueuePool:
    pool = app_server.db.pools[0]
    assert isinstance(pool, QueuePool)
    monkeypatch.setattr(pool, "_timeout", PATIENCE_S)
    return pool


@contextlib.asynccontextmanager
async def all_taken(server: Server, pool: QueuePool) -> AsyncIterator[None]:
    """Every connection for writing is in the middle of a transaction."""
    most = pool.size() + pool._max_overflow
    go_on, taken = asyncio.Event(), asyncio.Semaphore(0)

    def slowly(db: Connection) -> None:
        void(db.execute(text("SELECT 1")))
        taken.release()
        await_only(go_on.wait())

    tasks = [asyncio.create_task(server.db.write(slowly)) for _ in range(most)]
    for _ in tasks:
        await taken.acquire()
    try:
        yield
    finally:
        go_on.set()
        await asyncio.gather(*tasks)


async def test_what_writes_is_told_to_come_again_and_does_when_there_is_room(
    http: httpx.AsyncClient, app_server: Server, ana: Person, writing: QueuePool
) -> None:
    async with all_taken(app_server, writing):
        answers = await asyncio.gather(*(app_server.files.create(1, 1) for _ in range(30)), return_exceptions=True)
        refused = await ana.call(http, "POST", "/v1/files", {"size": 1})

    assert {type(one) for one in answers} == {PoolTimeoutError}
    problem(refused, 503, "unavailable")
    assert (await ana.call(http, "POST", "/v1/files", {"size": 1})).status_code == 201
    assert writing.checkedout() == 0


async def test_what_reads_and_what_is_asked_of_the_server_itself_goes_on(
    http: httpx.AsyncClient, app_server: Server, ana: Person, writing: QueuePool
) -> None:
    async with all_taken(app_server, writing):
        chats = await ana.call(http, "GET", "/v1/chats")
        alive = await http.get("/healthz")

    assert (chats.status_code, alive.status_code) == (200, 200)


async def test_who_gives_up_waiting_takes_no_connection_along(app_server: Server, writing: QueuePool) -> None:
    async with all_taken(app_server, writing):
        waiting = [asyncio.create_task(app_server.db.write(lambda _db: None)) for _ in range(10)]
        await asyncio.sleep(0.05)
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    await app_server.db.write(lambda _db: None)
    assert writing.checkedout() == 0
