"""/readyz tells the truth, for every reason there is."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import make_url, text

from mensajeria.server.db.engine import Database
from mensajeria.server.readiness import Readiness
from mensajeria.server.settings import Settings
from mensajeria.server.state import Server
from tests.server.fixtures import ON_SQLITE
from tests.server.process import start_server_process, stopping
from tests.support.line import Line
from tests.support.valkey import ValkeyServer


@pytest.fixture
def readiness(server: Server) -> Readiness:
    return Readiness(server, lambda: False)


@pytest.mark.quick
async def test_ready(http: httpx.AsyncClient) -> None:
    answer = await http.get("/readyz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "detail": ""})


async def test_another_schema(server: Server, readiness: Readiness) -> None:
    await server.db.write(lambda db: _void(db.execute(text("UPDATE alembic_version SET version_num = '0000'"))))

    assert await readiness.faults() == ("schema",)


@ON_SQLITE
async def test_a_schema_that_a_newer_program_has_added_to(server: Server, readiness: Readiness) -> None:
    await server.db.write(lambda db: _void(db.execute(text("UPDATE alembic_version SET version_num = '9999'"))))

    assert await readiness.faults() == ()


@pytest.mark.quick
@ON_SQLITE
async def test_a_writer_that_has_ended(server: Server, readiness: Readiness) -> None:
    assert server.db.writer is not None
    await server.db.writer.close()

    assert await readiness.faults() == ("writer",)


@pytest.mark.quick
async def test_a_database_that_has_gone(server: Server, readiness: Readiness, monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone(*_: Any) -> None:
        raise OSError

    monkeypatch.setattr(type(server.db), "query", gone)
    assert await readiness.faults() == ("database",)


@ON_SQLITE
async def test_a_full_disk(server: Server) -> None:
    server.settings = server.settings.model_copy(update={"min_free_mb": 1 << 40})

    assert await Readiness(server, lambda: False).faults() == ("disk",)


async def test_a_database_that_takes_no_write(server: Server, settings: Settings) -> None:
    if server.db.is_sqlite:
        pytest.skip("its writer's test is its own")
    name = make_url(settings.effective_database_url).database
    statement = f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'
    await server.db.write(lambda db: _void(db.exec_driver_sql(statement)))
    other = Database(settings.effective_database_url)  # a connection from before does not hear of it
    server.db, former = other, server.db
    try:
        assert await Readiness(server, lambda: False).faults() == ("database",)
    finally:
        server.db = former
        await other.close()
    assert await Readiness(server, lambda: False).faults() == ()


@ON_SQLITE
async def test_draining(http: httpx.AsyncClient) -> None:
    http._transport.app.state.gateway.draining = True  # type: ignore[attr-defined]
    try:
        answer = await http.get("/readyz")
    finally:
        http._transport.app.state.gateway.draining = False  # type: ignore[attr-defined]

    assert answer.status_code == 503
    assert answer.json()["detail"] == "draining"


@ON_SQLITE
async def test_without_redis_it_is_ready_and_says_what_is_away(http: httpx.AsyncClient) -> None:
    http._transport.app.state.gateway.broker.is_linked = False  # type: ignore[attr-defined]
    answer = await http.get("/readyz")

    assert (answer.status_code, answer.json()) == (200, {"status": "degraded", "detail": "redis"})


@ON_SQLITE
async def test_asking_often_asks_the_database_once(
    server: Server, readiness: Readiness, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    query = type(server.db).query

    async def counted(self: Any, function: Any) -> Any:
        nonlocal asked
        asked += 1
        return await query(self, function)

    monkeypatch.setattr(type(server.db), "query", counted)
    assert [await readiness.faults() for _ in range(20)] == [()] * 20
    assert asked == 1


@pytest.mark.slow
async def test_what_is_away_of_a_real_server_is_told_and_that_it_is_back(
    tmp_path: Path, postgres_url: str, valkey_url: str, valkey_server: ValkeyServer
) -> None:
    database = make_url(postgres_url)
    line = Line(database.port or 5432)
    await line.join()
    through = database.set(host="127.0.0.1", port=line.port).render_as_string(hide_password=False)
    process = await asyncio.to_thread(
        start_server_process, tmp_path, through, settings={"MENSAJERIA_REDIS_URL": valkey_url}
    )
    async with stopping(process), httpx.AsyncClient(base_url=f"http://127.0.0.1:{process.port}") as http:
        await told(http, 200, status="ok", detail="")
        line.cut()
        await told(http, 503, code="unavailable", detail="database")
        assert (await http.get("/healthz")).status_code == 200
        await line.join()
        await told(http, 200, status="ok", detail="")

        pid = await asyncio.to_thread(valkey_server.pid)
        os.kill(pid, signal.SIGSTOP)
        try:
            await told(http, 200, status="degraded", detail="redis")
        finally:
            os.kill(pid, signal.SIGCONT)
        await told(http, 200, status="ok", detail="")
    line.cut()


async def told(http: httpx.AsyncClient, number: int, **said: str) -> None:
    """Wait until the server says so."""
    async with asyncio.timeout(20):
        while True:
            answer = await http.get("/readyz", timeout=10)
            if answer.status_code == number and said.items() <= answer.json().items():
                return
            await asyncio.sleep(0.2)


def _void(_result: object) -> None:
    """Connections do not leave their thread."""
