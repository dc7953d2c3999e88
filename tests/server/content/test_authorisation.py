"""Who may call what: every endpoint of the server, for everybody who might try.

The list of endpoints is the application's own: a new one fails here until it is judged.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from mensajeria.kit.clock import FakeClock
from mensajeria.protocol import limits
from mensajeria.protocol.ids import b64
from mensajeria.protocol.membership import direct_chat_id
from mensajeria.protocol.transparency import uid_label
from mensajeria.server.backup import rows as backup_rows
from mensajeria.server.db.schema import SUSPENDED, account, device
from mensajeria.server.main import create_app
from mensajeria.server.settings import Settings
from mensajeria.server.state import Server
from tests.server.enrol import Person, register
from tests.server.fixtures import ON_SQLITE
from tests.server.groups import Group, befriend, create_event, json_of, member

STEP = limits.FILE_CHUNK_MIN
OK = {"admin": 200, "member": 200, "ex-member": 200, "stranger": 200}
IN_CHAT = OK | {"ex-member": 404, "stranger": 404}
NOBODY = dict.fromkeys(OK, 403)  # members make no invites here
NONE_THERE = dict.fromkeys(OK, 404)
OWNER = {"admin": 200, "member": 404, "ex-member": 404, "stranger": 404}


@dataclass
class World:
    """A group that Ana leads, with a member, somebody who was one, and somebody who never was."""

    http: httpx.AsyncClient
    group: Group
    people: dict[str, Person]
    file_id: str
    upload_id: str
    log_label: str
    server_id: bytes

    @property
    def other(self) -> str:
        return b64(self.people["outside"].uid)


Call = tuple[str, str, object]


def event_of(world: World, by: Person) -> object:
    """An event that its author may sign, if anybody lets it in: leaving."""
    return {"event": json_of(world.group.sign(by, "leave", who=by.uid))}


def direct(world: World, by: Person) -> Call:
    """The chat of two people, begun by one of them."""
    peer = world.people["outside"].uid
    path = f"/v1/chats/direct/{b64(direct_chat_id(world.server_id, by.uid, peer))}"
    return "PUT", path, {"peer_uid": b64(peer)}


WITHOUT_LOGIN = {
    ("get", "/healthz"),
    ("get", "/readyz"),
    ("get", "/version"),
    ("get", "/v1/server"),
    ("post", "/v1/auth/refresh"),  # asks for the MAC and the refresh token: tests/server/accounts/test_refresh.py
}
MATRIX: dict[str, tuple[Callable[[World, Person], Call], dict[str, int]]] = {
    "create": (lambda _w, p: ("POST", "/v1/chats", {"create": json_of(create_event(p))}), OK),
    "append": (
        lambda w, p: ("POST", f"{w.group.path}/events", event_of(w, p)),
        IN_CHAT | {"admin": 403},  # the owner leaves only after handing the group over
    ),
    "read_events": (
        lambda w, _p: ("GET", f"{w.group.path}/members-events", None),
        IN_CHAT | {"ex-member": 200},  # up to the removal, which proves it
    ),
    "erase_messages": (
        lambda w, _p: ("POST", f"{w.group.path}/erase", {"items": [{"mid": b64(bytes(16)), "token": None}]}),
        IN_CHAT,
    ),
    "list_blocks": (lambda _w, _p: ("GET", "/v1/blocks", None), OK),
    "block_user": (lambda w, _p: ("PUT", f"/v1/blocks/{w.other}", None), OK),
    "unblock_user": (lambda w, _p: ("DELETE", f"/v1/blocks/{w.other}", None), OK),
    "report_unreadable": (lambda _w, _p: ("POST", "/v1/unreadable", {"lost": 1}), OK),
    "report_user": (lambda w, _p: ("POST", "/v1/reports", {"uid": w.other, "chat_id": None, "text": "x"}), OK),
    "create_file": (lambda _w, _p: ("POST", "/v1/files", {"size": 5}), OK),
    "upload": (lambda w, _p: ("PATCH", f"/v1/files/{w.upload_id}", None), OWNER),
    "upload_state": (lambda w, _p: ("GET", f"/v1/files/{w.upload_id}/upload", None), OWNER),
    "describe": (lambda w, _p: ("HEAD", f"/v1/files/{w.file_id}", None), OK),
    "download": (lambda w, _p: ("GET", f"/v1/files/{w.file_id}", None), OK),
    "remove": (lambda w, _p: ("DELETE", f"/v1/files/{w.upload_id}", None), OWNER),
    "put_rows": (
        lambda _w, _p: (
            "PUT",
            "/v1/backup/rows",
            {"n": 1, "rows": [{"row_id": b64(bytes(16)), "counter": 1, "blob": b64(b"x")}]},
        ),
        OK,
    ),
    "read_rows": (lambda _w, _p: ("GET", "/v1/backup/rows?n=1", None), OK),
    "find_rows": (lambda _w, _p: ("POST", "/v1/backup/rows/query", {"n": 1, "row_ids": [b64(bytes(16))]}), OK),
    "drop_rows": (lambda _w, _p: ("DELETE", "/v1/backup/rows?below=0", None), OK),
    "read_use": (lambda _w, _p: ("GET", "/v1/backup/use", None), OK),
    "read_head": (lambda _w, _p: ("GET", "/v1/transparency/head", None), OK),
    "list_leaves": (lambda _w, _p: ("GET", "/v1/transparency/leaves", None), OK),
    "find_label": (lambda w, _p: ("GET", f"/v1/transparency/labels/{w.log_label}", None), OK),
    "prove_inclusion": (lambda _w, _p: ("GET", "/v1/transparency/inclusion?index=0&size=1", None), OK),
    "prove_consistency": (lambda _w, _p: ("GET", "/v1/transparency/consistency?old=1&size=2", None), OK),
    "make_invite": (lambda _w, _p: ("POST", "/v1/invites", {}), NOBODY),
    "list_invites": (lambda _w, _p: ("GET", "/v1/invites", None), OK),
    "revoke_invite": (lambda _w, _p: ("DELETE", "/v1/invites/1", None), NONE_THERE),
    "own_devices": (lambda _w, _p: ("GET", "/v1/devices", None), OK),
    "bring_back_lists": (
        lambda _w, _p: (
            "PUT",
            "/v1/devices/lists",
            {"between": [], "newest": {"body": b64(b"x"), "sig": b64(bytes(3373))}},
        ),
        NOBODY,  # no restore was declared
    ),
    "rename_device": (
        lambda w, _p: ("PUT", f"/v1/devices/{b64(w.people['admin'].device.did)}/name", {"name": "x"}),
        OWNER,
    ),
    "claim_prekeys": (
        lambda w, _p: ("POST", "/v1/prekeys/claim", {"dids": [b64(w.people["outside"].device.did)]}),
        OK,
    ),
    "read_prekeys": (lambda _w, _p: ("GET", "/v1/devices/me/prekeys", None), OK),
    "upload_prekeys": (
        lambda _w, _p: ("PUT", "/v1/devices/me/prekeys", {"one_time": [], "fallback": None, "pq": None}),
        OK,
    ),
    "list_chats": (lambda _w, _p: ("GET", "/v1/chats", None), OK),
    "register_direct": (direct, OK),
    "answer_chat": (lambda w, _p: ("PUT", f"{w.group.path}/answer", {"accept": True}), IN_CHAT),
    "find_user": (lambda _w, _p: ("GET", "/v1/users/by-handle/outside", None), OK),
    "read_keys": (lambda w, _p: ("GET", f"/v1/users/{w.other}/keys", None), OK),
    "read_successions": (lambda w, _p: ("GET", f"/v1/users/{w.other}/successions", None), OK),
    "read_lists": (lambda w, _p: ("GET", f"/v1/users/{w.other}/lists", None), OK),
    "put_own_profile": (lambda _w, _p: ("PUT", "/v1/profile", {"ver": 1, "sealed": b64(bytes(96))}), OK),
    # with the admin these two have an accepted direct chat; having left the group changes nothing of it
    "read_profile": (
        lambda w, _p: ("GET", f"/v1/users/{b64(w.people['admin'].uid)}/profile", None),
        OWNER | {"member": 200, "ex-member": 200},
    ),
    "logout": (lambda _w, _p: ("POST", "/v1/auth/logout", None), OK),
}


@ON_SQLITE
async def test_every_endpoint_is_in_the_matrix(world: World) -> None:
    paths = create_app(Settings()).openapi()["paths"]
    served = {(method, path) for path, item in paths.items() for method in item if method != "parameters"}
    calls = [call(world, world.people["admin"]) for call, _ in MATRIX.values()]
    judged = {
        (method, path)
        for method, path in served
        if any(one[0].lower() == method and fits(path, one[1].partition("?")[0]) for one in calls)
    }

    assert judged | WITHOUT_LOGIN == served
    assert len(MATRIX) == len(judged)


def fits(template: str, path: str) -> bool:
    """Whether a path is one of a template's; a word of another template is no value of this one's."""
    words = "direct|by-handle|me|query"
    return re.fullmatch(re.sub(r"\{\w+\}", rf"(?!(?:{words})(?:/|$))[^/]+", template), path) is not None


@pytest.fixture
async def world(http: httpx.AsyncClient, app_server: Server) -> World:
    roles = ("admin", "member", "ex-member", "stranger", "outside")
    people = {role: await register(app_server, role.replace("-", "_")) for role in roles}
    ana = people["admin"]
    await befriend(http, app_server, ana, people["member"], people["ex-member"])
    group = await Group.create(http, ana, people["member"])
    await group.event(ana, "add", members=(member(people["ex-member"]),))
    await group.event(ana, "remove", who=people["ex-member"].uid)
    ids = []
    for size in (5, 5):
        response = await ana.call(http, "POST", "/v1/files", {"size": size})
        ids.append(response.json()["file_id"])
    world = World(http, group, people, ids[0], ids[1], "", app_server.facts.server_id)
    assert (await upload(world, ana, ids[0])).status_code == 204
    profile = await ana.call(http, "PUT", "/v1/profile", {"ver": 1, "sealed": b64(bytes(96))})
    assert profile.status_code == 204
    world.log_label = b64(uid_label(ana.uid))
    return world


async def upload(world: World, by: Person, file_id: str) -> httpx.Response:
    target, body = f"/v1/files/{file_id}", os.urandom(5)
    headers = by.headers("PATCH", target, body) | {"Upload-Offset": "0"}
    return await world.http.patch(target, content=body, headers=headers)


async def attempt(world: World, name: str, by: Person) -> httpx.Response:
    method, target, json = MATRIX[name][0](world, by)
    if method == "PATCH":
        return await upload(world, by, world.upload_id)
    return await by.call(world.http, method, target, json)


@pytest.mark.quick
@ON_SQLITE
@pytest.mark.parametrize(
    "role", [*(pytest.param(role, marks=pytest.mark.slow) for role in ("admin", "member", "ex-member")), "stranger"]
)
async def test_roles(world: World, app_server: Server, role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_rows, "current_version", lambda _db, _account: 1)
    by = world.people[role]
    wrong = {}
    last = ("append", "remove", "logout")  # they change the world
    for name in sorted(MATRIX, key=lambda name: (name in last, name == "logout")):
        response = await attempt(world, name, by)
        expected = MATRIX[name][1][role]
        got = 200 if response.is_success else response.status_code
        if got != expected:
            wrong[name] = (response.status_code, response.text)
    assert wrong == {}


@ON_SQLITE
@pytest.mark.parametrize(
    ("state", "status", "code"),
    [
        ("revoked", 401, "login_revoked"),
        ("suspended", 403, "account_suspended"),
        ("expired", 401, "token_expired"),
        ("anonymous", 401, "unauthorized"),
        ("stolen token", 401, "unauthorized"),
    ],
)
async def test_ended_logins(
    world: World, app_server: Server, clock: FakeClock, state: str, status: int, code: str
) -> None:
    by = world.people["admin"]
    if state == "revoked":
        await _set(app_server, update(device).where(device.c.did == by.device.did).values(revoked_ms=1))
    elif state == "suspended":
        await _set(app_server, update(account).where(account.c.uid == by.uid).values(status=SUSPENDED))
    elif state == "expired":
        clock.advance(limits.ACCESS_TOKEN_S + 60)
    elif state == "stolen token":
        by = replace(by, ck=world.people["stranger"].ck)
    app_server.authenticator.forget(by.device.did)

    wrong = {}
    for name in MATRIX:
        if state == "anonymous":
            method, target, json = MATRIX[name][0](world, by)
            response = await world.http.request(method, target, json=json, headers={"Upload-Offset": "0"})
        else:
            response = await attempt(world, name, by)
        got: Any = code if MATRIX[name][0](world, by)[0] == "HEAD" else response.json().get("code")
        if (response.status_code, got) != (status, code):
            wrong[name] = (response.status_code, response.text)
    assert wrong == {}


async def _set(server: Server, statement: Any) -> None:
    def write(db: Any) -> None:
        db.execute(statement)

    await server.db.write(write)
