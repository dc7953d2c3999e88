"""What each endpoint does."""

from __future__ import annotations

import os
from collections.abc import Callable

import httpx
import pytest
from sqlalchemy import Connection, func, select, update

from mensajeria.crypto.device import DeviceKeys
from mensajeria.kit.clock import FakeClock
from mensajeria.protocol import limits
from mensajeria.protocol.auth import Prekeys
from mensajeria.protocol.devices import verify_device_list
from mensajeria.protocol.ids import b64, unb64
from mensajeria.protocol.membership import direct_chat_id
from mensajeria.protocol.prekeys import SigningKey, verify_fallback_key, verify_one_time_key, verify_pq_prekey
from mensajeria.protocol.records import Signed
from mensajeria.server.db.schema import device, one_time_key
from mensajeria.server.push import Silent
from mensajeria.server.ratelimit.limits import Limit
from mensajeria.server.state import Server
from tests.server.enrol import Person, add_device, altered, log_in, register, talk
from tests.server.fixtures import row_counts, void

Json = dict[str, object]


class Recorder(Silent):
    """Remembers what connected devices would have been told."""

    def __init__(self) -> None:
        self.low: list[tuple[int, int]] = []
        self.lists: list[tuple[list[int], bytes, int]] = []
        self.created: list[tuple[bytes, list[int]]] = []
        self.answered: list[tuple[bytes, int, bool]] = []

    async def otk_low(self, device_id: int, left: int) -> None:
        self.low.append((device_id, left))

    async def notify_list_changed(self, account_ids: object, uid: bytes, ver: int) -> None:
        self.lists.append((list(account_ids), uid, ver))  # type: ignore[call-overload]

    async def chat_created(self, chat_id: bytes, account_ids: object) -> None:
        self.created.append((chat_id, list(account_ids)))  # type: ignore[call-overload]

    async def chat_answered(self, chat_id: bytes, account_id: int, *, accepted: bool) -> None:
        self.answered.append((chat_id, account_id, accepted))


@pytest.fixture
def recorder(app_server: Server) -> Recorder:
    found = Recorder()
    app_server.hub.attach(found)
    return found


@pytest.fixture
async def ana(app_server: Server) -> Person:
    return await register(app_server, "ana")


@pytest.fixture
async def bruno(app_server: Server) -> Person:
    return await register(app_server, "bruno")


def signed(model: Json) -> Signed:
    return Signed(unb64(str(model["body"])), unb64(str(model["sig"])))


def as_json(one: Signed | None) -> Json | None:
    return None if one is None else {"body": b64(one.body), "sig": b64(one.sig)}


def upload_of(prekeys: Prekeys) -> Json:
    one_time = [as_json(one) for one in prekeys.one_time]
    return {"one_time": one_time, "fallback": as_json(prekeys.fallback), "pq": as_json(prekeys.pq)}


def chat_of(server: Server, one: Person, other: Person) -> bytes:
    return direct_chat_id(server.facts.server_id, one.uid, other.uid)


async def open_chat(http: httpx.AsyncClient, server: Server, one: Person, other: Person) -> httpx.Response:
    target = f"/v1/chats/direct/{b64(chat_of(server, one, other))}"
    return await one.call(http, "PUT", target, {"peer_uid": b64(other.uid)})


async def accept(http: httpx.AsyncClient, chat_id: bytes, who: Person, *, answer: bool = True) -> httpx.Response:
    return await who.call(http, "PUT", f"/v1/chats/{b64(chat_id)}/answer", {"accept": answer})


# ------------------------------------------------------------------------------------------------------------ users


@pytest.mark.quick
async def test_find_a_user_and_verify_what_the_server_says(http: httpx.AsyncClient, ana: Person, bruno: Person) -> None:
    by_name = (await ana.call(http, "GET", "/v1/users/by-handle/bruno")).json()
    by_id = (await ana.call(http, "GET", f"/v1/users/{b64(bruno.uid)}/keys")).json()

    assert by_name == by_id
    verified = verify_device_list(signed(by_name["device_list"]), unb64(by_name["identity"]), uid=bruno.uid)
    assert verified.find(bruno.device.did) is not None
    assert verified.idfp == bruno.identity.idfp


@pytest.mark.quick
async def test_unknown_users(http: httpx.AsyncClient, ana: Person) -> None:
    by_id = f"/v1/users/{b64(bytes(16))}"
    for target in ("/v1/users/by-handle/nobody", f"{by_id}/keys", f"{by_id}/lists"):
        response = await ana.call(http, "GET", target)
        assert (response.status_code, response.json()["code"]) == (404, "unknown_user")
    invalid = await ana.call(http, "GET", "/v1/users/by-handle/No%20Body")
    assert (invalid.status_code, invalid.json()["code"]) == (400, "handle_invalid")
    malformed = await ana.call(http, "GET", "/v1/users/abc/keys")
    assert (malformed.status_code, malformed.json()["code"]) == (400, "malformed")


async def test_list_bodies_after_a_version(
    http: httpx.AsyncClient, app_server: Server, ana: Person, clock: FakeClock, recorder: Recorder
) -> None:
    first = (await ana.call(http, "GET", f"/v1/users/{b64(ana.uid)}/lists")).json()["bodies"]
    await add_device(talk(app_server), ana, now_ms=clock.now_ms())
    both = (await ana.call(http, "GET", f"/v1/users/{b64(ana.uid)}/lists?after=0")).json()["bodies"]
    second = (await ana.call(http, "GET", f"/v1/users/{b64(ana.uid)}/lists?after=1")).json()["bodies"]

    assert both == first + second
    assert len(second) == 1
    assert [(uid, ver) for _, uid, ver in recorder.lists] == [(ana.uid, 2)]
    negative = await ana.call(http, "GET", f"/v1/users/{b64(ana.uid)}/lists?after=-1")
    assert negative.status_code == 400


async def test_contacts_are_told_of_a_new_device(
    http: httpx.AsyncClient, app_server: Server, ana: Person, bruno: Person, clock: FakeClock, recorder: Recorder
) -> None:
    await register(app_server, "carla")
    await open_chat(http, app_server, ana, bruno)
    recorder.lists.clear()
    await add_device(talk(app_server), ana, now_ms=clock.now_ms())

    ((accounts, uid, ver),) = recorder.lists
    logins = [await app_server.authenticator.by_device(person.device.did) for person in (ana, bruno)]
    assert accounts == sorted(login.account_id for login in logins)
    assert (uid, ver) == (ana.uid, 2)


# ---------------------------------------------------------------------------------------------------------- prekeys


async def claim(http: httpx.AsyncClient, who: Person, *dids: bytes) -> list[Json]:
    response = await who.call(http, "POST", "/v1/prekeys/claim", {"dids": [b64(did) for did in dids]})
    assert response.status_code == 200, response.text
    keys: list[Json] = response.json()["keys"]
    return keys


async def test_stranger_gets_the_fallback_key_and_takes_nothing(
    http: httpx.AsyncClient, app_server: Server, ana: Person, bruno: Person, clock: FakeClock
) -> None:
    (keys,) = await claim(http, ana, bruno.device.did)

    signer = SigningKey(bruno.device.did, bruno.device.ed25519)
    assert keys["one_time"] is None
    verify_fallback_key(signed(keys["fallback"]), uid=bruno.uid, device=signer)  # type: ignore[arg-type]
    verify_pq_prekey(signed(keys["pq"]), uid=bruno.uid, device=signer, now_ms=clock.now_ms())  # type: ignore[arg-type]
    # Still a stranger while the request is unanswered.
    await open_chat(http, app_server, ana, bruno)
    assert (await claim(http, ana, bruno.device.did))[0]["one_time"] is None
    assert await left(app_server, bruno) == limits.OTK_TARGET


async def left(server: Server, person: Person) -> int:
    query = select(func.count()).select_from(one_time_key).join(device).where(device.c.did == person.device.did)
    async with server.db.read() as connection:
        return int((await connection.execute(query)).scalar_one())


async def test_contact_gets_each_one_time_key_once(
    http: httpx.AsyncClient, app_server: Server, ana: Person, bruno: Person
) -> None:
    await open_chat(http, app_server, bruno, ana)  # who asks has accepted
    signer = SigningKey(bruno.device.did, bruno.device.ed25519)

    seen = set()
    for _ in range(3):
        (keys,) = await claim(http, ana, bruno.device.did)
        assert keys["fallback"] is None
        seen.add(verify_one_time_key(signed(keys["one_time"]), uid=bruno.uid, device=signer).key)  # type: ignore[arg-type]

    assert len(seen) == 3
    assert await left(app_server, bruno) == limits.OTK_TARGET - 3


async def test_over_the_limit_a_contact_gets_the_fallback_key(
    http: httpx.AsyncClient, app_server: Server, ana: Person, bruno: Person, clock: FakeClock
) -> None:
    await open_chat(http, app_server, bruno, ana)
    given = [(await claim(http, ana, bruno.device.did))[0]["one_time"] for _ in range(12)]

    assert [key is not None for key in given] == [True] * limits.CLAIMS_PER_HOUR_PER_PAIR + [False] * 2
    clock.advance(360)
    assert ana.tokens is not None
    assert (await claim(http, ana, bruno.device.did))[0]["one_time"] is not None


async def test_own_device_and_order_and_unknown_ones(
    http: httpx.AsyncClient, app_server: Server, ana: Person, bruno: Person, clock: FakeClock
) -> None:
    phone = await add_device(talk(app_server), ana, now_ms=clock.now_ms())
    asked = [bruno.device.did, os.urandom(16), phone.device.did, phone.device.did]

    keys = await claim(http, ana, *asked)

    assert [key["did"] for key in keys] == [b64(bruno.device.did), b64(phone.device.did)]
    assert keys[0]["one_time"] is None
    assert keys[1]["one_time"] is not None
    revoked = update(device).where(device.c.did == phone.device.did).values(revoked_ms=1)
    await app_server.db.write(lambda connection: void(connection.execute(revoked)))
    assert await claim(http, ana, phone.device.did) == []


async def test_device_is_told_when_its_keys_run_low_and_refills(
    http: httpx.AsyncClient, app_server: Server, ana: Person, bruno: Person, clock: FakeClock, recorder: Recorder
) -> None:
    await open_chat(http, app_server, bruno, ana)
    await app_server.db.write(_keep_only(limits.OTK_REFILL_BELOW))
    await claim(http, ana, bruno.device.did)

    number = (await app_server.authenticator.by_device(bruno.device.did)).device_id
    assert recorder.low == [(number, limits.OTK_REFILL_BELOW - 1)]
    bruno.device.mark_published()
    more = Prekeys(bruno.device.new_one_time_keys(10), None, None)
    state = (await bruno.call(http, "PUT", "/v1/devices/me/prekeys", upload_of(more))).json()
    assert state["one_time_left"] == limits.OTK_REFILL_BELOW - 1 + 10
    again = (await bruno.call(http, "PUT", "/v1/devices/me/prekeys", upload_of(more))).json()
    assert again == state
    assert (await bruno.call(http, "GET", "/v1/devices/me/prekeys")).json() == state


def _keep_only(count: int) -> Callable[[Connection], None]:
    def keep(connection: Connection) -> None:
        newest = select(one_time_key.c.id).order_by(one_time_key.c.id.desc()).limit(count)
        connection.execute(one_time_key.delete().where(one_time_key.c.id.not_in(newest)))

    return keep


async def test_upload_replaces_fallback_and_hybrid_prekey(
    http: httpx.AsyncClient, app_server: Server, ana: Person, clock: FakeClock
) -> None:
    ana.device.mark_published()
    before = ana.device.pq_prekey_id
    clock.advance(8 * 24 * 3600)
    rotated = ana.device.rotate(clock.now_ms())
    assert rotated is not None
    assert rotated.pq is not None
    await log_in(talk(app_server), ana)  # the access token has expired meanwhile

    state = (await ana.call(http, "PUT", "/v1/devices/me/prekeys", upload_of(rotated))).json()

    assert state["pq_prekey_id"] == ana.device.pq_prekey_id > before
    assert state["fallback_created_ms"] == clock.now_ms()


async def test_older_or_foreign_prekeys_are_refused_and_change_nothing(
    http: httpx.AsyncClient, app_server: Server, ana: Person, clock: FakeClock
) -> None:
    before, rows = await row_counts(app_server), await _device_row(app_server, ana)
    stranger = DeviceKeys.create(ana.uid)
    good = Prekeys((), None, None)
    other_pq = DeviceKeys.create(ana.uid, ana.device.did).first_prekeys(clock.now_ms())
    wrong = [
        upload_of(stranger.first_prekeys(clock.now_ms())),
        upload_of(other_pq),
        upload_of(Prekeys((altered(ana.device.new_one_time_keys(1)[-1]),), None, None)),
    ]
    for upload in wrong:
        response = await ana.call(http, "PUT", "/v1/devices/me/prekeys", upload)
        assert (response.status_code, response.json()["code"]) == (400, "malformed")
    assert await row_counts(app_server) == before
    assert await _device_row(app_server, ana) == rows
    assert (await ana.call(http, "PUT", "/v1/devices/me/prekeys", upload_of(good))).status_code == 200


async def _device_row(server: Server, person: Person) -> tuple[object, ...]:
    columns = (device.c.pq_body, device.c.fallback_body, device.c.pq_prekey_id)
    async with server.db.read() as connection:
        return tuple((await connection.execute(select(*columns).where(device.c.did == person.device.did))).one())


# ------------------------------------------------------------------------------------------------------------ chats


async def test_direct_chat_is_a_request_until_it_is_accepted(
    http: httpx.AsyncClient, app_server: Server, ana: Person, bruno: Person, recorder: Recorder
) -> None:
    chat_id = chat_of(app_server, ana, bruno)

    mine = (await open_chat(http, app_server, ana, bruno)).json()
    theirs = (await bruno.call(http, "GET", "/v1/chats")).json()["chats"][0]

    assert mine == {
        "chat_id": b64(chat_id),
        "members": [b64(uid) for uid in sorted((ana.uid, bruno.uid))],
        "last_seq": 0,
        "epoch": 0,
        "accepted": True,
    }
    assert theirs == mine | {"accepted": False}
    assert [found[0] for found in recorder.created] == [chat_id]
    assert (await open_chat(http, app_server, ana, bruno)).json() == mine
    assert len(recorder.created) == 1
    assert (await accept(http, chat_id, bruno)).status_code == 204
    assert (await bruno.call(http, "GET", "/v1/chats")).json()["chats"][0]["accepted"] is True
    assert recorder.answered[-1][2] is True


async def test_declined_chat_is_gone_for_who_declined_until_they_open_it(
    http: httpx.AsyncClient, app_server: Server, ana: Person, bruno: Person
) -> None:
    chat_id = chat_of(app_server, ana, bruno)
    await open_chat(http, app_server, ana, bruno)

    assert (await accept(http, chat_id, bruno, answer=False)).status_code == 204

    assert (await bruno.call(http, "GET", "/v1/chats")).json()["chats"] == []
    assert len((await ana.call(http, "GET", "/v1/chats")).json()["chats"]) == 1
    assert (await open_chat(http, app_server, bruno, ana)).json()["accepted"] is True


@pytest.mark.quick
async def test_note_to_self(http: httpx.AsyncClient, app_server: Server, ana: Person) -> None:
    state = (await open_chat(http, app_server, ana, ana)).json()

    assert state["members"] == [b64(ana.uid)]
    assert state["accepted"] is True


async def test_wrong_chat_id_unknown_peer_and_foreign_chat(
    http: httpx.AsyncClient, app_server: Server, ana: Person, bruno: Person
) -> None:
    carla = await register(app_server, "carla")
    await open_chat(http, app_server, ana, bruno)
    before = await row_counts(app_server)

    wrong = await ana.call(http, "PUT", f"/v1/chats/direct/{b64(bytes(32))}", {"peer_uid": b64(bruno.uid)})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "malformed")
    theirs = f"/v1/chats/direct/{b64(chat_of(app_server, ana, bruno))}"
    foreign = await carla.call(http, "PUT", theirs, {"peer_uid": b64(bruno.uid)})
    assert foreign.json()["code"] == "malformed"
    ghost = direct_chat_id(app_server.facts.server_id, ana.uid, bytes(16))
    unknown = await ana.call(http, "PUT", f"/v1/chats/direct/{b64(ghost)}", {"peer_uid": b64(bytes(16))})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_user")
    for chat_id in (chat_of(app_server, ana, bruno), bytes(32)):
        response = await accept(http, chat_id, carla)
        assert (response.status_code, response.json()["code"]) == (404, "unknown_chat")
    assert await row_counts(app_server) == before


async def test_requests_a_day_are_limited(http: httpx.AsyncClient, app_server: Server, ana: Person) -> None:
    people = [await register(app_server, f"person{number}") for number in range(limits.PENDING_PER_SENDER_DAY + 1)]
    answers = [await open_chat(http, app_server, ana, person) for person in people]

    assert [answer.status_code for answer in answers] == [200] * limits.PENDING_PER_SENDER_DAY + [429]
    assert answers[-1].json()["code"] == "request_limit"


# ----------------------------------------------------------------------------------------------------------- tokens


async def refresh(http: httpx.AsyncClient, person: Person, token: bytes) -> httpx.Response:
    return await person.call(
        http, "POST", "/v1/auth/refresh", {"did": b64(person.device.did), "refresh_token": b64(token)}
    )


async def test_refresh_needs_the_channel_key_but_no_access_token(
    http: httpx.AsyncClient, ana: Person, bruno: Person, clock: FakeClock
) -> None:
    assert ana.tokens is not None
    clock.advance(limits.ACCESS_TOKEN_S + 1)
    response = await refresh(http, ana, ana.tokens.refresh_token)
    assert response.status_code == 200
    tokens = response.json()

    again = await refresh(http, ana, ana.tokens.refresh_token)
    assert again.json()["refresh_token"] == tokens["refresh_token"]
    thief = await bruno.call(
        http,
        "POST",
        "/v1/auth/refresh",
        {"did": b64(ana.device.did), "refresh_token": tokens["refresh_token"]},
    )
    assert (thief.status_code, thief.json()["code"]) == (401, "unauthorized")
    clock.advance(16)
    used = await refresh(http, ana, ana.tokens.refresh_token)
    assert (used.status_code, used.json()["code"]) == (401, "login_revoked")
    gone = await refresh(http, ana, unb64(tokens["refresh_token"]))
    assert gone.json()["code"] == "login_revoked"


async def test_whoever_knows_a_device_cannot_use_up_its_refreshes(
    http: httpx.AsyncClient, ana: Person, bruno: Person
) -> None:
    assert ana.tokens is not None
    stolen = {"did": b64(ana.device.did), "refresh_token": b64(bytes(32))}
    for _ in range(Limit.REFRESH_DEVICE.value.burst + 1):
        assert (await bruno.call(http, "POST", "/v1/auth/refresh", stolen)).json()["code"] == "unauthorized"

    assert (await refresh(http, ana, ana.tokens.refresh_token)).status_code == 200


async def test_call_over_the_limit_writes_nothing(http: httpx.AsyncClient, app_server: Server, ana: Person) -> None:
    while await app_server.limiter.allows(Limit.REST_DEVICE, ana.device.did):
        pass
    refused = await ana.call(http, "PUT", f"/v1/devices/{b64(ana.device.did)}/name", {"name": "x"})
    assert (refused.status_code, refused.json()["detail"]) == (429, "rest_device")
    async with app_server.db.read() as connection:
        assert (await connection.execute(select(device.c.rest_counter))).scalar_one() == 0


async def test_logout_ends_everything_of_this_device(
    http: httpx.AsyncClient, app_server: Server, ana: Person, clock: FakeClock
) -> None:
    phone = await add_device(talk(app_server), ana, now_ms=clock.now_ms())
    assert (await ana.call(http, "POST", "/v1/auth/logout")).status_code == 204

    after = await ana.call(http, "GET", "/v1/devices")
    assert (after.status_code, after.json()["code"]) == (401, "login_revoked")
    devices = (await phone.call(http, "GET", "/v1/devices")).json()["devices"]
    assert [(one["name"], one["current"]) for one in devices] == [("laptop", False), ("phone", True)]


async def test_call_that_changes_something_cannot_be_replayed(
    http: httpx.AsyncClient, ana: Person, app_server: Server
) -> None:
    target = "/v1/devices/me/prekeys"
    body = b'{"one_time":[],"fallback":null,"pq":null}'
    for counter, status in ((5, 200), (5, 401), (4, 401), (6, 200)):
        headers = ana.headers("PUT", target, body, counter=counter)
        response = await http.put(target, headers=headers | {"Content-Type": "application/json"}, content=body)
        assert response.status_code == status
        if status == 401:
            assert response.json()["code"] == "replayed"
    async with app_server.db.read() as connection:
        assert (await connection.execute(select(device.c.rest_counter))).scalar_one() == 6
