"""The edges of the HTTP side: problems of the framework itself, headers, origins, proxies, pages for people."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import httpx
import pytest
from fastapi import Request
from sqlalchemy.exc import DBAPIError
from structlog.testing import capture_logs

from mensajeria.kit.clock import FakeClock
from mensajeria.protocol.ids import b64
from mensajeria.server.apidocs.routes import ASSETS, REDOC
from mensajeria.server.db.failures import LaneError
from mensajeria.server.main import create_app
from mensajeria.server.problems import _on_database_error
from mensajeria.server.settings import Settings, SettingsError, load_settings
from mensajeria.server.spec import PATH, to_yaml
from tests.server.fixtures import ON_SQLITE

ORIGIN = "https://chat.example.org"
REDOC_SHA256 = "dcaf76612bc4a3fbcc923a8966dee2f6146a5f32e5ce1b6f02dd60cbbf89500b"
"""Of bundles/redoc.standalone.js in the package redoc 2.5.4."""


@asynccontextmanager
async def client(**settings: object) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application that is not started: nothing here asks for its database."""
    app = await asyncio.to_thread(create_app, Settings.model_validate(settings), FakeClock())  # reads files
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://server") as http:
        yield http


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("DELETE", "/version", 405), ("GET", "/v1/chats?x=1", 400), ("GET", "/v1/server", 503)],
)
async def test_every_refusal_is_a_problem_document(method: str, path: str, status: int) -> None:
    async with client() as http:
        answer = await http.request(method, path)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert ("allow" in answer.headers) == (status == 405)


async def test_a_failure_of_the_database_is_logged_by_the_name_that_the_driver_gives_it() -> None:
    crowded = asyncpg.TooManyConnectionsError("s3cret")
    wrapped = Exception("s3cret")
    wrapped.__cause__ = crowded
    lane = LaneError("s3cret")
    lane.__cause__ = crowded
    for error in (DBAPIError("SELECT s3cret", None, wrapped), lane):
        with capture_logs() as lines:
            answer = await _on_database_error(Request({"type": "http", "state": {"request_id": "r"}}), error)
        assert answer.status_code == 503
        [line] = lines
        assert (line["error"], line["request_id"]) == ("TooManyConnectionsError", "r")
        assert "s3cret" not in repr((line, answer.body))


async def test_the_description_is_the_committed_one() -> None:
    async with client() as http:
        answers = [await http.get("/openapi.json") for _ in range(2)]
        assert (await http.post("/openapi.json")).status_code == 405

    assert answers[0].content == answers[1].content
    assert to_yaml(answers[0].json()) == PATH.read_text(encoding="utf-8")


async def test_every_method_of_a_path_is_named() -> None:
    async with client() as http:
        answer = await http.request("TRACE", "/v1/devices/me/prekeys")

    assert answer.headers["allow"] == "GET, PUT"


async def test_a_request_id_of_the_caller_is_not_believed() -> None:
    async with client() as http:
        answer = await http.get("/version", headers={"X-Request-Id": "mine"})

    assert answer.headers.get_list("x-request-id") != ["mine"]
    assert len(answer.headers.get_list("x-request-id")) == 1


async def test_no_page_may_call_unless_its_origin_is_listed() -> None:
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "PUT"}
    async with client() as http:
        assert "access-control-allow-origin" not in (await http.get("/version", headers={"Origin": ORIGIN})).headers
        assert (await http.options("/version", headers=asked)).status_code == 405
    async with client(allowed_origins=ORIGIN) as http:
        assert (await http.options("/version", headers=asked)).headers["access-control-allow-origin"] == ORIGIN
        other = await http.get("/version", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers
        refused = await http.options("/version", headers={**asked, "Origin": "https://evil.example"})
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["request_id"] == refused.headers["x-request-id"]
        assert "access-control-allow-origin" not in refused.headers


@pytest.mark.parametrize("origin", ["*", "chat.example.org", "https://chat.example.org/", "https://Chat.example.org"])
def test_an_origin_that_no_browser_sends_is_refused(origin: str) -> None:
    with pytest.raises(SettingsError, match="MENSAJERIA_ALLOWED_ORIGINS"):
        load_settings(allowed_origins=origin)


async def test_pages_for_people_are_off_unless_wanted() -> None:
    async with client() as http:
        assert (await http.get("/docs")).status_code == 404
        assert (await http.get("/version")).headers["content-security-policy"].startswith("default-src 'none'")


async def test_pages_for_people_load_nothing_from_elsewhere() -> None:
    async with client(api_docs=True) as http:
        page = await http.get("/docs")
        program = await http.get("/docs/redoc.js")
        assert (await http.get("/docs/start.js")).is_success

    assert page.headers.get_list("content-security-policy")[0].startswith("default-src 'none'; script-src 'self';")
    assert len(page.headers.get_list("content-security-policy")) == 1
    assert "http" not in page.text.replace("<!doctype html>", "")
    assert hashlib.sha256(program.content).hexdigest() == REDOC_SHA256
    assert hashlib.sha256(gzip.decompress((ASSETS / REDOC).read_bytes())).hexdigest() == REDOC_SHA256


@ON_SQLITE
async def test_a_proxys_own_line_is_the_one_that_counts(http: httpx.AsyncClient) -> None:
    """What a client wrote stands in a line before the proxy's: it must not choose its network by that."""
    lines = [("X-Forwarded-For", "198.51.100.1"), ("X-Forwarded-For", "203.0.113.9")]
    did, token = b64(bytes(16)), b64(bytes(32))
    await http.post("/v1/auth/refresh", json={"did": did, "refresh_token": token}, headers=lines)

    buckets = http.app_server.limiter._store._buckets  # type: ignore[attr-defined]
    assert [key for name, key in buckets if name == "refresh_network"] == [b"203.0.113.0/24"]


@pytest.mark.quick
@ON_SQLITE
async def test_metrics_are_not_on_the_public_port(http: httpx.AsyncClient) -> None:
    assert (await http.get("/metrics")).status_code == 404
