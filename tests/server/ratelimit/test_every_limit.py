"""Each row of the table of limits is met by somebody: told by name, with when to come back, and nothing changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from mensajeria.crypto.password import password_proof
from mensajeria.protocol import auth
from mensajeria.protocol.auth import SUITE_PASSWORD
from mensajeria.protocol.errors import Code
from mensajeria.protocol.ids import b64
from mensajeria.server.ratelimit.limits import Bucket, Limit
from mensajeria.server.state import Server
from tests.server.changes import proven
from tests.server.enrol import PASSWORD, Person, Refused, Talk, add_device, log_in, prove, register, talk
from tests.server.fixtures import ON_SQLITE, row_counts
from tests.server.groups import befriend, create_event, json_of

NETWORK = "203.0.113.0/24"
WAIT_S = 7.0
_SIGNED = {"body": b64(b"x"), "sig": b64(bytes(3373))}
_CHAT = f"/v1/chats/{b64(bytes(32))}"
Call = tuple[str, str, object]
REST: dict[Limit, Callable[[Person], Call]] = {
    Limit.REST_DEVICE: lambda _p: ("GET", "/v1/chats", None),
    Limit.REFRESH_DEVICE: lambda p: (
        "POST",
        "/v1/auth/refresh",
        {"did": b64(p.device.did), "refresh_token": b64(bytes(32))},
    ),
    Limit.LOOKUP_HANDLE_ACCOUNT: lambda _p: ("GET", "/v1/users/by-handle/ana", None),
    Limit.LOOKUP_KEYS_ACCOUNT: lambda p: ("GET", f"/v1/users/{b64(p.uid)}/keys", None),
    Limit.PREKEY_UPLOAD_DEVICE: lambda _p: (
        "PUT",
        "/v1/devices/me/prekeys",
        {"one_time": [], "fallback": None, "pq": None},
    ),
    Limit.LIST_ACCOUNT: lambda _p: ("PUT", "/v1/devices/lists", {"between": [], "newest": _SIGNED}),
    Limit.CHAT_CREATE_ACCOUNT: lambda p: ("POST", "/v1/chats", {"create": json_of(create_event(p))}),
    Limit.MEMBER_EVENT_ACCOUNT: lambda _p: ("POST", f"{_CHAT}/events", {"event": _SIGNED}),
    Limit.ERASE_ACCOUNT: lambda _p: ("POST", f"{_CHAT}/erase", {"items": [{"mid": b64(bytes(16)), "token": None}]}),
    Limit.REPORT_ACCOUNT: lambda p: ("POST", "/v1/reports", {"uid": b64(p.uid), "chat_id": None, "text": "x"}),
    Limit.PROFILE_ACCOUNT: lambda _p: ("PUT", "/v1/profile", {"ver": 1, "sealed": b64(bytes(96))}),
    Limit.PROFILE_READ_ACCOUNT: lambda p: ("GET", f"/v1/users/{b64(p.uid)}/profile", None),
    Limit.UNREADABLE_DEVICE: lambda _p: ("POST", "/v1/unreadable", {"lost": 1}),
    Limit.FILE_CREATE_ACCOUNT: lambda _p: ("POST", "/v1/files", {"size": 5}),
    Limit.BACKUP_ACCOUNT: lambda _p: (
        "PUT",
        "/v1/backup/rows",
        {"n": 1, "rows": [{"row_id": b64(bytes(16)), "counter": 1, "blob": b64(b"x")}]},
    ),
    Limit.LOG_DEVICE: lambda _p: ("GET", "/v1/transparency/head", None),
    Limit.INVITE_CREATE_ACCOUNT: lambda _p: ("POST", "/v1/invites", {}),
}


def _register_start(invite: bytes = b"") -> auth.ClientAuth:
    request = password_proof(SUITE_PASSWORD).start_registration(PASSWORD).request
    return auth.RegisterStart(SUITE_PASSWORD, "nobody", invite, request)


def _recovery_start() -> auth.ClientAuth:
    return auth.RecoveryStart(
        SUITE_PASSWORD, "ana", password_proof(SUITE_PASSWORD).start_registration(PASSWORD).request
    )


async def _change(connection: Talk, ana: Person) -> None:
    proof = await proven(connection, ana)
    await proof.new_password()


async def _known_device(connection: Talk, ana: Person) -> None:
    await log_in(connection, ana)


async def _list(connection: Talk, ana: Person) -> None:
    await add_device(connection, ana, now_ms=ana_now(ana))


def ana_now(ana: Person) -> int:
    """When the person's token was made: the tests' clock stands still."""
    assert ana.tokens is not None
    return ana.tokens.access_expires_ms - 600_000


SOCKET: dict[Limit, Callable[[Talk, Person], Awaitable[Any]]] = {
    Limit.LOGIN_NETWORK: lambda c, _p: prove(c, "ana"),
    Limit.LOGIN_HANDLE_NETWORK: lambda c, _p: prove(c, "ana"),
    Limit.LOGIN_HANDLE: lambda c, _p: prove(c, "ana"),
    Limit.LOGIN_KNOWN_DEVICE: _known_device,
    Limit.REGISTER_NETWORK: lambda c, _p: c.say(_register_start()),
    Limit.CHECK_HANDLE_NETWORK: lambda c, _p: c.say(auth.CheckHandle("nobody")),
    Limit.INVITE_NETWORK: lambda c, _p: c.say(_register_start(bytes(16))),
    Limit.RECOVERY_NETWORK: lambda c, _p: c.say(_recovery_start()),
    Limit.RECOVERY_HANDLE: lambda c, _p: c.say(_recovery_start()),
    Limit.CHANGE_ACCOUNT: _change,
    Limit.LIST_ACCOUNT: _list,
}
ELSEWHERE = {
    Limit.FILE_STEP_DEVICE,  # below: it says where it goes on
    Limit.REFRESH_NETWORK,  # below: it needs to come from somewhere
    Limit.CLAIM_PAIR,  # below: it changes the answer
    Limit.CLAIM_TARGET,
    Limit.FRAMES_CONNECTION,  # tests/server/realtime/test_gateway.py
    Limit.TYPING_CONNECTION,  # tests/server/realtime/test_messages.py
}


class Full:
    """Buckets of which one is empty."""

    def __init__(self, empty: Limit) -> None:
        self._empty = empty.label

    async def take(self, name: str, _key: bytes, _bucket: Bucket, _cost: int) -> float:
        return WAIT_S if name == self._empty else 0.0

    async def close(self) -> None:
        pass


def test_every_limit_is_tried_here_or_named() -> None:
    assert {*REST, *SOCKET, *ELSEWHERE} == set(Limit)


def told(response: httpx.Response, limit: Limit) -> None:
    """A 429 that names the limiter and says when."""
    assert response.status_code == 429, response.text
    document = response.json()
    assert (document["code"], document["detail"], document["retry_after_ms"]) == ("rate_limited", limit.label, 7000)
    assert response.headers["retry-after"] == "7"


@pytest.fixture
async def ana(app_server: Server) -> Person:
    app_server.settings = app_server.settings.model_copy(update={"member_invites": True})
    return await register(app_server, "ana")


@ON_SQLITE
async def test_every_limit_of_a_rest_call(http: httpx.AsyncClient, app_server: Server, ana: Person) -> None:
    before = await row_counts(app_server)
    for limit, call in REST.items():
        app_server.limiter._store = Full(limit)
        told(await ana.call(http, *call(ana)), limit)

    assert await row_counts(app_server) == before
    assert not app_server.unreadable
    assert app_server.limiter.refused == {limit.label: 1 for limit in REST}


@ON_SQLITE
@pytest.mark.parametrize("limit", SOCKET, ids=lambda limit: limit.label)
async def test_every_limit_of_a_conversation(app_server: Server, ana: Person, limit: Limit) -> None:
    before = await row_counts(app_server)
    if limit is Limit.INVITE_NETWORK:
        app_server.registration._settings = app_server.settings.model_copy(update={"registration": "invite"})
    app_server.limiter._store = Full(limit)
    with pytest.raises(Refused) as caught:
        await SOCKET[limit](talk(app_server, NETWORK), ana)

    refused = caught.value
    assert (refused.code, refused.detail, refused.retry_after_ms) == (Code.RATE_LIMITED, limit.label, 7000)
    assert await row_counts(app_server) == before


@ON_SQLITE
async def test_a_step_of_an_upload(http: httpx.AsyncClient, app_server: Server, ana: Person) -> None:
    made = await ana.call(http, "POST", "/v1/files", {"size": 5})
    target = f"/v1/files/{made.json()['file_id']}"
    before = await row_counts(app_server)
    app_server.limiter._store = Full(Limit.FILE_STEP_DEVICE)
    headers = ana.headers("PATCH", target, b"12345") | {"Upload-Offset": "0"}
    told(await http.patch(target, content=b"12345", headers=headers), Limit.FILE_STEP_DEVICE)
    assert await row_counts(app_server) == before


@ON_SQLITE
async def test_refreshing_from_one_network(http: httpx.AsyncClient, app_server: Server) -> None:
    app_server.limiter._store = Full(Limit.REFRESH_NETWORK)
    body = {"did": b64(bytes(16)), "refresh_token": b64(bytes(32))}
    told(
        await http.post("/v1/auth/refresh", json=body, headers={"X-Forwarded-For": "203.0.113.9"}),
        Limit.REFRESH_NETWORK,
    )


@ON_SQLITE
@pytest.mark.parametrize("limit", [Limit.CLAIM_PAIR, Limit.CLAIM_TARGET], ids=lambda limit: limit.label)
async def test_over_the_limits_of_claims_one_gets_the_fallback_key(
    http: httpx.AsyncClient, app_server: Server, ana: Person, limit: Limit
) -> None:
    bruno = await register(app_server, "bruno")
    await befriend(http, app_server, bruno, ana)
    before = await row_counts(app_server)
    app_server.limiter._store = Full(limit)
    claimed = await ana.call(http, "POST", "/v1/prekeys/claim", {"dids": [b64(bruno.device.did)]})

    [keys] = claimed.json()["keys"]
    assert keys["one_time"] is None
    assert keys["fallback"] is not None
    assert await row_counts(app_server) == before
