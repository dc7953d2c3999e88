"""How a REST call is authenticated, and that every failure is a problem document."""

from __future__ import annotations

import httpx
import pytest

from mensajeria.kit.clock import FakeClock
from mensajeria.protocol import limits
from mensajeria.protocol.api import MAC_HEADER, rest_key, rest_mac
from mensajeria.protocol.ids import b64
from mensajeria.server.state import Server
from tests.server.enrol import Person, register
from tests.server.fixtures import ON_SQLITE, row_counts

pytestmark = ON_SQLITE

DEVICES = "/v1/devices"
UPLOAD = "/v1/devices/me/prekeys"


def problem(response: httpx.Response, status: int, code: str) -> dict[str, object]:
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, object] = response.json()
    assert (response.status_code, document["status"], document["code"]) == (status, status, code)
    assert document["request_id"] == response.headers["x-request-id"]
    assert document["type"] == f"urn:mensajeria:problem:{code}"
    return document


@pytest.fixture
async def ana(app_server: Server) -> Person:
    return await register(app_server, "ana")


@pytest.mark.quick
async def test_public_endpoints(http: httpx.AsyncClient, app_server: Server) -> None:
    assert (await http.get("/healthz")).json() == {"status": "ok"}
    assert (await http.get("/readyz")).json() == {"status": "ok", "detail": ""}
    assert (await http.get("/version")).json()["protocol"] == limits.PROTOCOL_VERSION
    described = (await http.get("/v1/server")).json()
    assert described["server_id"] == b64(app_server.facts.server_id)
    assert described["registration"] == "open"


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_a_monitor_may_ask_for_the_head_alone(http: httpx.AsyncClient, path: str) -> None:
    response = await http.head(path)
    assert (response.status_code, response.content) == (200, b"")


async def test_good_call(http: httpx.AsyncClient, ana: Person) -> None:
    response = await ana.call(http, "GET", DEVICES)

    assert response.status_code == 200
    (own,) = response.json()["devices"]
    assert own["did"] == b64(ana.device.did)
    assert own["current"] is True
    assert own["name"] == "laptop"


@pytest.mark.quick
async def test_security_headers_and_own_request_id(http: httpx.AsyncClient) -> None:
    response = await http.get("/healthz", headers={"X-Request-Id": "forged"})

    assert response.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert response.headers["x-request-id"] != "forged"


@pytest.mark.parametrize("path", ["/nothing", "/v1/users/x/y/z", "/v1/chats/", "/docs"])
async def test_unknown_path(http: httpx.AsyncClient, path: str) -> None:
    problem(await http.get(path), 404, "not_found")


async def test_wrong_method(http: httpx.AsyncClient) -> None:
    problem(await http.delete(DEVICES), 405, "method_not_allowed")


async def test_call_without_or_with_wrong_credentials(http: httpx.AsyncClient, ana: Person) -> None:
    good = ana.headers("GET", DEVICES, b"")
    assert ana.ck is not None
    other_key = rest_mac(rest_key(bytes(32)), "GET", DEVICES, b"", 9)
    mac = good[MAC_HEADER]
    wrong = [
        {},
        {"Authorization": good["Authorization"]},
        {MAC_HEADER: mac},
        good | {"Authorization": "Basic YTpi"},
        good | {"Authorization": "Bearer "},
        good | {"Authorization": good["Authorization"] + "x"},
        good | {MAC_HEADER: other_key},
        good | {MAC_HEADER: "9" + mac},
        good | {MAC_HEADER: mac.replace(".", ".A", 1)},
        good | {MAC_HEADER: "." + mac},
        good | {MAC_HEADER: "9" * 40 + "." + mac},
        good | {MAC_HEADER: ""},
    ]
    for headers in wrong:
        response = await http.get(DEVICES, headers=headers)
        problem(response, 401, "unauthorized")
        assert response.headers["www-authenticate"] == "Bearer"
    assert (await http.get(DEVICES, headers=good)).status_code == 200


async def test_mac_covers_method_target_and_body(http: httpx.AsyncClient, ana: Person) -> None:
    headers = ana.headers("GET", DEVICES, b"")
    problem(await http.get("/v1/chats", headers=headers), 401, "unauthorized")
    chats = ana.headers("GET", "/v1/chats", b"")
    problem(await http.get("/v1/chats?after=1", headers=chats), 401, "unauthorized")
    put = ana.headers("PUT", UPLOAD, b'{"one_time":[],"fallback":null,"pq":null}')
    altered = b'{"one_time":[],"fallback":null,"pq":null }'
    problem(await http.put(UPLOAD, headers=put, content=altered), 401, "unauthorized")


async def test_expired_token(http: httpx.AsyncClient, ana: Person, clock: FakeClock) -> None:
    clock.advance(limits.ACCESS_TOKEN_S)
    problem(await ana.call(http, "GET", DEVICES), 401, "token_expired")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"one_time":[],"fallback":null}',
        b'{"one_time":[],"fallback":null,"pq":null,"more":1}',
        b'{"one_time":{},"fallback":null,"pq":null}',
        b'{"one_time":[{"body":"AA","sig":"AA"}],"fallback":null,"pq":null}',
        b'{"one_time":[{"body":"%%","sig":"AA"}],"fallback":null,"pq":null}',
        b'{"one_time":' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
)
async def test_malformed_body_changes_nothing(
    http: httpx.AsyncClient, ana: Person, app_server: Server, body: bytes
) -> None:
    before = await row_counts(app_server)
    headers = ana.headers("PUT", UPLOAD, body) | {"Content-Type": "application/json"}

    problem(await http.put(UPLOAD, headers=headers, content=body), 400, "malformed")
    assert await row_counts(app_server) == before


async def test_secret_value_is_not_repeated_in_a_problem(http: httpx.AsyncClient) -> None:
    response = await http.post("/v1/auth/refresh", json={"did": "s3cret-value", "refresh_token": "s3cret-value"})

    assert "s3cret-value" not in response.text
    problem(response, 400, "malformed")


@pytest.mark.parametrize("announce", [True, False])
async def test_body_limit(http: httpx.AsyncClient, announce: bool) -> None:
    async def stream() -> object:
        for _ in range(20):
            yield bytes(65536)

    content = bytes(20 * 65536) if announce else stream()
    response = await http.post("/v1/auth/refresh", content=content)  # type: ignore[arg-type]
    problem(response, 413, "too_large")


async def test_unexpected_failure_fails_this_request_alone(
    http: httpx.AsyncClient, ana: Person, app_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise ZeroDivisionError("secret detail")

    with monkeypatch.context() as patch:
        patch.setattr(app_server.db, "query", fail)
        response = await ana.call(http, "GET", "/v1/chats")
        document = problem(response, 500, "internal")
        assert "secret" not in str(document)
    assert (await ana.call(http, "GET", "/v1/chats")).status_code == 200


@pytest.mark.quick
async def test_database_away_is_said_as_such(
    http: httpx.AsyncClient, app_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(app_server.db, "query", fail)
    problem(await http.get("/readyz"), 503, "unavailable")
    assert (await http.get("/healthz")).status_code == 200


async def test_devices_requests_are_limited(http: httpx.AsyncClient, ana: Person) -> None:
    last = None
    for _ in range(301):
        last = await ana.call(http, "GET", DEVICES)
        if last.status_code != 200:
            break
    assert last is not None
    document = problem(last, 429, "rate_limited")
    assert document["detail"] == "rest_device"
    assert document["retry_after_ms"]
    assert int(last.headers["retry-after"]) >= 1
