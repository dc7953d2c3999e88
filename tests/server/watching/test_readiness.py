"""/readyz tells the truth, for every reason there is."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from sqlalchemy import text

from mensajeria.server.readiness import Readiness
from mensajeria.server.state import Server
from tests.server.fixtures import ON_SQLITE


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


def _void(_result: object) -> None:
    """Connections do not leave their thread."""
