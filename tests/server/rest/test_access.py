"""REST endpoints of access: invites by members, names of devices, logging out; and who may call them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select, update

from mensajeria.kit.clock import FakeClock
from mensajeria.protocol import limits
from mensajeria.protocol.errors import Code
from mensajeria.protocol.ids import b64, unb64
from mensajeria.server.db.schema import ACTIVE, PENDING, SUSPENDED, account, device, invite
from mensajeria.server.db.schema_access import audit, invitation
from mensajeria.server.main import create_app
from mensajeria.server.settings import Settings
from mensajeria.server.state import Server
from tests.server.changes import proven
from tests.server.enrol import Person, Refused, add_device, draft, log_in, prove, register, talk
from tests.server.fixtures import ON_SQLITE, row_counts, void


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    values = {"data_dir": tmp_path / "data", "database_url": database_url, "member_invites": True}
    return Settings.model_validate(values)


@pytest.fixture
async def ana(app_server: Server) -> Person:
    return await register(app_server, "ana")


async def make(http: httpx.AsyncClient, who: Person, **request: int) -> dict[str, object]:
    answer = await who.call(http, "POST", "/v1/invites", request)
    assert answer.status_code == 201, answer.text
    found: dict[str, object] = answer.json()
    return found


async def mine(http: httpx.AsyncClient, who: Person) -> list[dict[str, object]]:
    answer = await who.call(http, "GET", "/v1/invites")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, object]] = answer.json()["invites"]
    return found


def as_if(server: Server, registration: str) -> Server:
    """The same services in a server that lets people in another way."""
    settings = server.settings.model_copy(update={"registration": registration})
    server.registration._settings = settings
    return replace(server, settings=settings)


@pytest.mark.quick
async def test_invite_of_a_member_lets_somebody_in_and_says_whom(
    http: httpx.AsyncClient, app_server: Server, ana: Person
) -> None:
    made = await make(http, ana, uses=2)

    bruno = await register(as_if(app_server, "invite"), "bruno", invite=unb64(str(made["token"])))

    [row] = await mine(http, ana)
    assert (row["uses_left"], row["state"], row["joined"]) == (1, "valid", ["bruno"])
    async with app_server.db.read() as db:
        came = (
            await db.execute(
                select(invitation.c.invited_by, account.c.uid).join(account, account.c.id == invitation.c.account)
            )
        ).one()
        inviter = (await db.execute(select(account.c.id).where(account.c.uid == ana.uid))).scalar_one()
    assert (came.invited_by, came.uid) == (inviter, bruno.uid)


async def test_revoked_used_and_expired_invites_let_nobody_in(
    http: httpx.AsyncClient, app_server: Server, ana: Person, clock: FakeClock
) -> None:
    revoked, old = await make(http, ana), await make(http, ana, days=1)
    used = await make(http, ana)
    server = as_if(app_server, "invite")
    await register(server, "bruno", invite=unb64(str(used["token"])))
    assert (await ana.call(http, "DELETE", f"/v1/invites/{revoked['id']}")).status_code == 204
    assert (await ana.call(http, "DELETE", f"/v1/invites/{revoked['id']}")).status_code == 204
    clock.advance(24 * 3600)
    await log_in(talk(server), ana)

    for one in (revoked, used, old):
        with pytest.raises(Refused) as caught:
            await draft(talk(server), "carla", invite=unb64(str(one["token"])), now_ms=clock.now_ms())
        assert caught.value.code is Code.INVITE_INVALID
    assert [row["state"] for row in await mine(http, ana)] == ["used", "expired", "revoked"]


async def test_somebody_else_s_invite_is_not_there(http: httpx.AsyncClient, app_server: Server, ana: Person) -> None:
    bruno = await register(app_server, "bruno")
    made = await make(http, ana)
    rows = await row_counts(app_server)

    assert await mine(http, bruno) == []
    for number in (made["id"], 99_999):
        answer = await bruno.call(http, "DELETE", f"/v1/invites/{number}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert (await mine(http, ana))[0]["state"] == "valid"
    assert await row_counts(app_server) == rows


@ON_SQLITE
async def test_open_invites_are_bounded_and_paged(
    http: httpx.AsyncClient, app_server: Server, ana: Person, clock: FakeClock
) -> None:
    for _ in range(limits.INVITES_OPEN_MAX):
        await make(http, ana)
        clock.advance(120)  # below the limiter
        await log_in(talk(app_server), ana)
    answer = await ana.call(http, "POST", "/v1/invites", {})
    assert (answer.status_code, answer.json()["code"]) == (413, "quota_exceeded")
    newest = await mine(http, ana)
    assert len(newest) == limits.INVITES_OPEN_MAX
    older = (await ana.call(http, "GET", f"/v1/invites?before={newest[4]['id']}")).json()
    assert [row["id"] for row in older["invites"]] == [row["id"] for row in newest[5:]]
    assert older["more"] is False


@ON_SQLITE
@pytest.mark.parametrize("body", [{"uses": 0}, {"uses": 101}, {"days": 31}, {"days": "7"}, {"more": 1}])
async def test_invites_out_of_bounds(http: httpx.AsyncClient, ana: Person, body: dict[str, object]) -> None:
    answer = await ana.call(http, "POST", "/v1/invites", body)

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")


@ON_SQLITE
async def test_members_make_none_unless_the_operator_allows_it(
    tmp_path: Path, database_url: str, clock: FakeClock
) -> None:
    strict = Settings.model_validate({"data_dir": tmp_path / "data", "database_url": database_url})
    app = create_app(strict, clock)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 40000))
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            ana = await register(app.state.server, "ana")
            answer = await ana.call(client, "POST", "/v1/invites", {})
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


@pytest.mark.quick
async def test_only_hashes_of_tokens_are_stored(http: httpx.AsyncClient, app_server: Server, ana: Person) -> None:
    made = await make(http, ana)

    async with app_server.db.read() as db:
        stored = (await db.execute(select(invite.c.token_hash))).scalars().all()
        lines = [tuple(row) for row in await db.execute(select(audit))]
    assert unb64(str(made["token"])) not in stored
    assert str(made["token"]) not in repr(lines)


async def test_devices_get_names(http: httpx.AsyncClient, app_server: Server, ana: Person) -> None:
    phone = await add_device(talk(app_server), ana, now_ms=app_server.clock.now_ms())
    target = f"/v1/devices/{b64(phone.device.did)}/name"

    assert (await ana.call(http, "PUT", target, {"name": "el móvil"})).status_code == 204

    unstorable = await ana.call(http, "PUT", target, {"name": "a\0b"})
    assert (unstorable.status_code, unstorable.json()["code"]) == (400, "malformed")
    names = {row["name"] for row in (await ana.call(http, "GET", "/v1/devices")).json()["devices"]}
    assert names == {"laptop", "el móvil"}
    bruno = await register(app_server, "bruno")
    answer = await bruno.call(http, "PUT", target, {"name": "mine"})
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_device")


async def test_logout_everywhere_ends_every_login(http: httpx.AsyncClient, app_server: Server, ana: Person) -> None:
    phone = await add_device(talk(app_server), ana, now_ms=app_server.clock.now_ms())
    bruno = await register(app_server, "bruno")

    assert (await phone.call(http, "POST", "/v1/auth/logout", {"everywhere": True})).status_code == 204

    for person in (ana, phone):
        answer = await person.call(http, "GET", "/v1/devices")
        assert (answer.status_code, answer.json()["code"]) == (401, "login_revoked")
        refreshed = await refresh(http, person)
        assert refreshed.json()["code"] == "login_revoked"
    assert (await bruno.call(http, "GET", "/v1/devices")).status_code == 200
    await log_in(talk(app_server), ana)  # the device is still listed
    assert (await ana.call(http, "GET", "/v1/devices")).status_code == 200


async def refresh(http: httpx.AsyncClient, person: Person) -> httpx.Response:
    assert person.tokens is not None
    body = {"did": b64(person.device.did), "refresh_token": b64(person.tokens.refresh_token)}
    return await person.call(http, "POST", "/v1/auth/refresh", body)


@ON_SQLITE
async def test_logout_alone_ends_one(http: httpx.AsyncClient, app_server: Server, ana: Person) -> None:
    phone = await add_device(talk(app_server), ana, now_ms=app_server.clock.now_ms())

    assert (await phone.call(http, "POST", "/v1/auth/logout", {"everywhere": False})).status_code == 204
    assert (await ana.call(http, "POST", "/v1/auth/logout")).status_code == 204


# --- the matrix

ENDPOINTS: tuple[tuple[str, str, dict[str, object] | None], ...] = (
    ("POST", "/v1/invites", {}),
    ("GET", "/v1/invites", None),
    ("DELETE", "/v1/invites/1", None),
    ("PUT", "/v1/devices/{did}/name", {"name": "x"}),
    ("POST", "/v1/auth/logout", {"everywhere": True}),
)
Prepare = Callable[[Server, Person, FakeClock], Awaitable[None]]


async def _revoked(server: Server, person: Person, clock: FakeClock) -> None:
    other = await add_device(talk(server), person, now_ms=clock.now_ms())
    login = await proven(talk(server), other)
    await login.talk.say(login.removal(person.device.did, now_ms=clock.now_ms(), code=person.code))


async def _status(server: Server, status: str) -> None:
    await server.db.write(lambda db: void(db.execute(update(account).values(status=status))))
    server.authenticator.forget_all()


async def _suspended(server: Server, _person: Person, _clock: FakeClock) -> None:
    await _status(server, SUSPENDED)


async def _pending(server: Server, _person: Person, _clock: FakeClock) -> None:
    await _status(server, PENDING)


async def _expired(_server: Server, _person: Person, clock: FakeClock) -> None:
    clock.advance(limits.ACCESS_TOKEN_S)


async def _deleted(server: Server, person: Person, _clock: FakeClock) -> None:
    login = await proven(talk(server), person)
    await login.talk.say(login.deletion())


@ON_SQLITE
@pytest.mark.parametrize(
    ("prepare", "code"),
    [
        (_revoked, Code.LOGIN_REVOKED),
        (_suspended, Code.ACCOUNT_SUSPENDED),
        (_pending, Code.ACCOUNT_PENDING),
        (_expired, Code.TOKEN_EXPIRED),
        (_deleted, Code.UNAUTHORIZED),
    ],
)
async def test_who_may_not_call(
    http: httpx.AsyncClient, app_server: Server, ana: Person, clock: FakeClock, prepare: Prepare, code: Code
) -> None:
    await prepare(app_server, ana, clock)
    rows = await row_counts(app_server)

    for method, target, body in ENDPOINTS:
        answer = await ana.call(http, method, target.format(did=b64(ana.device.did)), body)
        assert answer.json()["code"] == code, (method, target)
    assert await row_counts(app_server) == rows


@ON_SQLITE
async def test_strangers_and_unproven_calls(http: httpx.AsyncClient, app_server: Server, ana: Person) -> None:
    rows = await row_counts(app_server)

    for method, target, body in ENDPOINTS:
        path = target.format(did=b64(ana.device.did))
        assert (await http.request(method, path, json=body)).json()["code"] == Code.UNAUTHORIZED
        headers = ana.headers(method, path, b"another body")
        assert (await http.request(method, path, json=body, headers=headers)).json()["code"] == Code.UNAUTHORIZED
    assert await row_counts(app_server) == rows


@pytest.mark.quick
@ON_SQLITE
async def test_replayed_change_is_refused(http: httpx.AsyncClient, ana: Person) -> None:
    target = f"/v1/devices/{b64(ana.device.did)}/name"
    body = httpx.Request("PUT", "http://x", json={"name": "x"}).content
    headers = ana.headers("PUT", target, body) | {"Content-Type": "application/json"}

    assert (await http.put(target, content=body, headers=headers)).status_code == 204
    assert (await http.put(target, content=body, headers=headers)).json()["code"] == Code.REPLAYED


# --- accounts that wait for approval


async def test_account_waits_until_it_is_approved(http: httpx.AsyncClient, app_server: Server, ana: Person) -> None:
    approving = as_if(app_server, "approval")
    connection = talk(approving)
    prepared = await draft(connection, "bruno", now_ms=approving.clock.now_ms())
    await connection.say(prepared.finish)
    assert connection.info.registration == "approval"

    with pytest.raises(Refused) as caught:
        await prove(connection, "bruno")
    assert caught.value.code is Code.ACCOUNT_PENDING
    answer = await ana.call(http, "GET", "/v1/users/by-handle/bruno")
    assert answer.json()["code"] == "unknown_user"
    waits = update(account).where(account.c.status == PENDING).values(status=ACTIVE)
    await approving.db.write(lambda db: void(db.execute(waits)))
    await log_in(talk(approving), prepared.person)
    assert (await ana.call(http, "GET", "/v1/users/by-handle/bruno")).status_code == 200
    async with approving.db.read() as db:
        assert len(list(await db.execute(select(device.c.id)))) == 2
