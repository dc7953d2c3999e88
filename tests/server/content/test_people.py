"""Blocks and reports."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from mensajeria.protocol import limits
from mensajeria.protocol.frames import PutOutcome
from mensajeria.protocol.ids import b64
from mensajeria.protocol.membership import direct_chat_id
from mensajeria.server.admin import reports
from mensajeria.server.chats.cache import read_chat
from mensajeria.server.mailbox import store as mailbox
from mensajeria.server.mailbox.store import Put
from mensajeria.server.state import Server
from tests.server.enrol import Person, register
from tests.server.fixtures import row_counts
from tests.server.groups import Group, befriend, create_event, json_of, problem


@pytest.fixture
async def pair(http: httpx.AsyncClient, app_server: Server) -> tuple[Person, Person]:
    ana, bruno = [await register(app_server, name) for name in ("ana", "bruno")]
    await befriend(http, app_server, ana, bruno)
    return ana, bruno


async def block(http: httpx.AsyncClient, by: Person, other: Person, method: str = "PUT") -> None:
    assert (await by.call(http, method, f"/v1/blocks/{b64(other.uid)}")).status_code == 204


async def put(server: Server, sender: Person, receiver: Person) -> PutOutcome:
    """An envelope into the receiver's mailbox."""

    def write(db: Any) -> PutOutcome:
        account = db.exec_driver_sql("SELECT id FROM account WHERE handle = '" + sender.handle + "'").scalar_one()
        key = db.exec_driver_sql(
            "SELECT pq_prekey_id FROM device d JOIN account a ON a.id = d.account_id WHERE a.handle = '"
            + receiver.handle
            + "'"
        ).scalar_one()
        one = Put(account, receiver.device.did, key, b"blob")
        mailbox.put(db, [one], 1)
        return one.outcome

    return await server.db.write(write)


@pytest.mark.quick
async def test_block_and_back(http: httpx.AsyncClient, app_server: Server, pair: tuple[Person, Person]) -> None:
    ana, bruno = pair
    chat_id = direct_chat_id(app_server.facts.server_id, ana.uid, bruno.uid)

    async def is_blocked() -> bool:
        info = await app_server.db.query(lambda db: read_chat(db, chat_id))
        assert info is not None
        assert info.blocked == (not info.accepted)
        return info.blocked

    for _ in range(2):
        await block(http, ana, bruno)
    assert await is_blocked()
    assert await put(app_server, bruno, ana) is PutOutcome.REFUSED
    assert await put(app_server, ana, bruno) is PutOutcome.REFUSED
    listed = (await ana.call(http, "GET", "/v1/blocks")).json()
    assert [one["uid"] for one in listed["blocks"]] == [b64(bruno.uid)]
    assert (await bruno.call(http, "GET", "/v1/blocks")).json() == {"blocks": [], "more": False}
    assert (await ana.call(http, "GET", f"/v1/blocks?after={b64(bruno.uid)}")).json()["blocks"] == []

    await block(http, ana, bruno, "DELETE")
    assert not await is_blocked()
    assert await put(app_server, bruno, ana) is PutOutcome.OK


async def test_keys_still_flow_in_a_shared_group(
    http: httpx.AsyncClient, app_server: Server, pair: tuple[Person, Person]
) -> None:
    ana, bruno = pair
    await Group.create(http, ana, bruno)
    await block(http, ana, bruno)

    assert await put(app_server, bruno, ana) is PutOutcome.OK


async def test_whoever_blocked_hears_of_no_request(
    http: httpx.AsyncClient, app_server: Server, pair: tuple[Person, Person]
) -> None:
    ana, bruno = pair
    carla = await register(app_server, "carla")
    for other in (bruno, carla):
        await block(http, ana, other)
    chat_id = b64(direct_chat_id(app_server.facts.server_id, ana.uid, carla.uid))
    direct = await carla.call(http, "PUT", f"/v1/chats/direct/{chat_id}", {"peer_uid": b64(ana.uid)})
    group = await bruno.call(http, "POST", "/v1/chats", {"create": json_of(create_event(bruno, ana))})
    chats = (await ana.call(http, "GET", "/v1/chats")).json()["chats"]

    # to the blocked ones everything looks as with anybody who has not answered
    assert direct.json()["accepted"] is True
    assert group.status_code == 201
    assert {chat["chat_id"] for chat in chats} == {b64(direct_chat_id(app_server.facts.server_id, ana.uid, bruno.uid))}


@pytest.mark.quick
async def test_what_cannot_be_blocked(
    http: httpx.AsyncClient, pair: tuple[Person, Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, bruno = pair
    problem(await ana.call(http, "PUT", f"/v1/blocks/{b64(ana.uid)}"), 400, "malformed")
    problem(await ana.call(http, "PUT", f"/v1/blocks/{b64(bytes(16))}"), 404, "unknown_user")
    monkeypatch.setattr(limits, "MAX_BLOCKS", 0)
    problem(await ana.call(http, "PUT", f"/v1/blocks/{b64(bruno.uid)}"), 413, "quota_exceeded")


@pytest.mark.quick
async def test_report_and_its_end(http: httpx.AsyncClient, app_server: Server, pair: tuple[Person, Person]) -> None:
    ana, bruno = pair
    answer = await ana.call(http, "POST", "/v1/reports", {"uid": b64(bruno.uid), "chat_id": None, "text": "spam"})
    number = answer.json()["id"]
    (row,) = await app_server.db.query(reports.list_reports)

    assert (row.id, row.reporter, row.target_handle, row.claim) == (number, "ana", "bruno", "spam")
    await app_server.db.write(lambda db: reports.resolve_report(db, number, "told him", 7))
    assert await app_server.db.query(reports.list_reports) == []
    (row,) = await app_server.db.query(lambda db: reports.list_reports(db, include_resolved=True))
    assert (row.resolved_ms, row.resolution) == (7, "told him")
    with pytest.raises(LookupError):
        await app_server.db.write(lambda db: reports.resolve_report(db, number, "again", 8))
    with pytest.raises(ValueError, match="500"):
        await app_server.db.write(lambda db: reports.resolve_report(db, number, "x" * 501, 8))


@pytest.mark.quick
async def test_unreadable_messages_are_counted_and_nothing_is_stored(
    http: httpx.AsyncClient, app_server: Server, pair: tuple[Person, Person]
) -> None:
    ana, bruno = pair
    before = await row_counts(app_server)
    for who, counts in ((ana, {"lost": 3, "tampered": 1}), (bruno, {"lost": 2}), (ana, {})):
        assert (await who.call(http, "POST", "/v1/unreadable", counts)).status_code == 204

    assert app_server.unreadable == {"lost": 5, "tampered": 1}
    assert await row_counts(app_server) == before
    for wrong in ({"lost": -1}, {"lost": 1001}, {"lost": "1"}, {"lost": True}, {"chat": "x"}):
        problem(await bruno.call(http, "POST", "/v1/unreadable", wrong), 400, "malformed")
    for _ in range(4):
        await ana.call(http, "POST", "/v1/unreadable", {"healed": 1})
    problem(await ana.call(http, "POST", "/v1/unreadable", {"lost": 1000}), 429, "rate_limited")
    assert app_server.unreadable["lost"] == 5


async def test_bad_reports(http: httpx.AsyncClient, pair: tuple[Person, Person]) -> None:
    ana, _ = pair
    too_long = {"uid": b64(ana.uid), "chat_id": None, "text": "x" * (limits.REPORT_MAX_CHARS + 1)}
    problem(await ana.call(http, "POST", "/v1/reports", too_long), 400, "malformed")
    unstorable = {"uid": b64(ana.uid), "chat_id": None, "text": "a\0b"}
    problem(await ana.call(http, "POST", "/v1/reports", unstorable), 400, "malformed")
    problem(
        await ana.call(http, "POST", "/v1/reports", {"uid": b64(bytes(16)), "chat_id": None, "text": "x"}),
        404,
        "unknown_user",
    )
