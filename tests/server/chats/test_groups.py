"""Groups: what is accepted into a chain, who has access afterwards, and what everybody is told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from mensajeria.kit.clock import FakeClock
from mensajeria.protocol import limits
from mensajeria.protocol.frames import Event, EventKind
from mensajeria.protocol.ids import b64, unb64
from mensajeria.protocol.membership import (
    Valid,
    decode_member_event,
    direct_chat_id,
    event_hash,
    judge,
    lookup_in,
    start_direct,
)
from mensajeria.protocol.records import Member, Signed
from mensajeria.server.chats import log
from mensajeria.server.chats.chain import read_list, read_state
from mensajeria.server.chats.log import NewEvent
from mensajeria.server.realtime.gateway import event_log
from mensajeria.server.state import Server
from tests.server.enrol import Person, add_device, register, talk
from tests.server.groups import Group, befriend, create_event, json_of, member, problem, sign


class Ear:
    """A hub that remembers what it was told."""

    def __init__(self) -> None:
        self.rows: list[tuple[bytes, tuple[int, ...], tuple[int, ...], list[Event]]] = []

    async def chat_rows(
        self, chat_id: bytes, joined: Sequence[int], audience: Sequence[int], rows: Sequence[Event]
    ) -> None:
        self.rows.append((chat_id, tuple(joined), tuple(audience), list(rows)))

    async def _nothing(self, *_args: Any, **_named: Any) -> None:
        pass

    def __getattr__(self, _name: str) -> Any:
        return self._nothing


@pytest.fixture
async def people(app_server: Server) -> list[Person]:
    """Registered, the first one a contact of all others but the last."""
    return [await register(app_server, name) for name in ("ana", "bruno", "carla", "dario")]


@pytest.fixture
async def friends(http: httpx.AsyncClient, app_server: Server, people: list[Person]) -> list[Person]:
    await befriend(http, app_server, people[0], *people[1:3])
    return people


async def chats_of(http: httpx.AsyncClient, person: Person) -> dict[str, dict[str, Any]]:
    chats = (await person.call(http, "GET", "/v1/chats")).json()["chats"]
    return {chat["chat_id"]: chat for chat in chats}


async def fold(server: Server, http: httpx.AsyncClient, group: Group, person: Person) -> Any:
    """The state as a client computes it from what the server serves."""
    answer = (await person.call(http, "GET", f"{group.path}/members-events")).json()
    assert answer["more"] is False
    state = None

    for served in answer["events"]:
        signed = Signed(unb64(served["event"]["body"]), unb64(served["event"]["sig"]))
        author = decode_member_event(signed.body).by_uid
        found = await server.db.query(lambda db, author=author: read_list(db, author))  # type: ignore[misc]
        assert found is not None
        verdict = judge(state, signed, lookup_in({author: found}))
        assert isinstance(verdict, Valid)
        state = verdict.state
    return state


@pytest.mark.quick
async def test_group_from_create_to_its_end(http: httpx.AsyncClient, app_server: Server, friends: list[Person]) -> None:
    ana, bruno, carla, _ = friends
    group = await Group.create(http, ana, bruno)
    assert group.answers[0] == {
        "chat_id": b64(group.chat_id), "seq": 1, "ts": group.answers[0]["ts"], "member_seq": 1, "epoch": 0,
    }  # fmt: skip

    await group.event(ana, "add", members=(member(carla),))
    await group.event(ana, "role", who=bruno.uid, role="admin")
    await group.event(bruno, "timer", timer_s=3600)
    removed = await group.event(bruno, "remove", who=carla.uid)
    assert (removed["seq"], removed["member_seq"], removed["epoch"]) == (5, 5, 5)

    served = await fold(app_server, http, group, bruno)
    stored = await app_server.db.query(lambda db: read_state(db, group.chat_id, app_server.facts.server_id))
    assert stored is not None
    assert stored.state == served
    assert stored.state.head == served.head
    assert set(served.members) == {ana.uid, bruno.uid}

    await group.event(ana, "role", who=bruno.uid, role="owner")
    await group.event(ana, "leave", who=ana.uid)
    assert b64(group.chat_id) not in await chats_of(http, ana)
    await group.event(bruno, "leave", who=bruno.uid)
    assert b64(group.chat_id) not in await chats_of(http, bruno)


@pytest.mark.quick
async def test_strangers_get_a_request_and_contacts_are_in(http: httpx.AsyncClient, friends: list[Person]) -> None:
    ana, bruno, _, dario = friends
    group = await Group.create(http, ana, bruno, dario)

    assert (await chats_of(http, bruno))[b64(group.chat_id)]["accepted"] is True
    assert (await chats_of(http, dario))[b64(group.chat_id)]["accepted"] is False


async def test_ex_member_is_a_stranger_at_once(http: httpx.AsyncClient, friends: list[Person]) -> None:
    ana, bruno, carla, dario = friends
    group = await Group.create(http, ana, bruno, carla)
    await group.event(ana, "remove", who=bruno.uid)
    await group.event(ana, "timer", timer_s=60)
    problem(await dario.call(http, "GET", f"{group.path}/members-events"), 404, "unknown_chat")
    for ex in (bruno, dario):
        problem(await group.post(ex, group.sign(ex, "leave", who=ex.uid)), 404, "unknown_chat")
        problem(
            await ex.call(http, "POST", f"{group.path}/erase", {"items": [{"mid": b64(bytes(16)), "token": None}]}),
            404,
            "unknown_chat",
        )
    # coming back, the chain keeps what it knew
    await group.event(ana, "add", members=(member(bruno),))
    assert (await bruno.call(http, "GET", f"{group.path}/members-events")).status_code == 200


async def test_who_was_removed_gets_the_chain_up_to_that_event_and_nothing_beyond(
    http: httpx.AsyncClient, friends: list[Person]
) -> None:
    ana, bruno, carla, _ = friends
    group = await Group.create(http, ana, bruno, carla)
    await group.event(ana, "remove", who=bruno.uid)
    await group.event(ana, "timer", timer_s=60)
    answer = await bruno.call(http, "GET", f"{group.path}/members-events?after=1")
    assert answer.status_code == 200
    served = [decode_member_event(unb64(one["event"]["body"])) for one in answer.json()["events"]]
    assert [(one.type, one.who) for one in served] == [("remove", bruno.uid)]


async def test_messages_of_an_older_epoch_are_refused(
    http: httpx.AsyncClient, app_server: Server, friends: list[Person]
) -> None:
    ana, bruno, carla, _ = friends
    group = await Group.create(http, ana, bruno, carla)
    stored = await app_server.db.query(lambda db: read_state(db, group.chat_id, app_server.facts.server_id))
    assert stored is not None
    events = event_log(app_server.db)

    async def send(mid: int, epoch: int) -> tuple[int, int, int]:
        (outcome,) = await events.append([NewEvent(stored.id, bytes([mid]) * 16, epoch, 0, 1, b"x")])
        return outcome

    assert (await send(1, 0))[:2] == (log.NEW, 2)
    removed = await group.event(ana, "remove", who=carla.uid)
    assert removed["seq"] == 3
    assert (await send(2, 0))[0] == log.STALE_EPOCH
    assert (await send(2, removed["epoch"]))[:2] == (log.NEW, 4)
    await events.close()


async def test_two_at_once_and_again(http: httpx.AsyncClient, friends: list[Person]) -> None:
    ana, bruno, carla, _ = friends
    group = await Group.create(http, ana, bruno, carla, roles={bruno.uid: "admin"})
    first = group.sign(ana, "timer", timer_s=60)
    second = group.sign(bruno, "timer", timer_s=90)
    answers = await asyncio.gather(group.post(ana, first), group.post(bruno, second))

    assert sorted(answer.status_code for answer in answers) == [201, 409]
    winner = next(index for index, answer in enumerate(answers) if answer.status_code == 201)
    problem(answers[1 - winner], 409, "event_conflict")
    again = await group.post((ana, bruno)[winner], (first, second)[winner])
    assert again.json() == answers[winner].json()
    problem(await group.post((bruno, ana)[winner], (second, first)[winner]), 409, "event_conflict")
    problem(await group.post(ana, group.sign(ana, "timer", timer_s=1, seq=9)), 409, "event_conflict")


async def test_create_is_idempotent(http: httpx.AsyncClient, friends: list[Person]) -> None:
    ana, bruno, *_ = friends
    signed = create_event(ana, bruno)
    first = await ana.call(http, "POST", "/v1/chats", {"create": json_of(signed)})
    again = await ana.call(http, "POST", "/v1/chats", {"create": json_of(signed)})

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()


async def test_what_the_rule_forbids_is_refused(http: httpx.AsyncClient, friends: list[Person]) -> None:
    ana, bruno, carla, _ = friends
    group = await Group.create(http, ana, bruno, carla)
    good = group.sign(ana, "timer", timer_s=5)
    bad = {
        "not_allowed": group.sign(bruno, "remove", who=carla.uid),
        "no_change": group.sign(ana, "role", who=bruno.uid, role="member"),
        "fields": group.sign(ana, "timer", timer_s=5, who=bruno.uid),
        "bad_signature": Signed(good.body, bytes(64)),
        "other_chat": group.sign(ana, "timer", timer_s=5, chat_id=bytes(32)),
        "signed under a device list that is not published": group.sign(ana, "timer", timer_s=5, dl_ver=2),
    }
    for reason, signed in bad.items():
        by = bruno if reason == "not_allowed" else ana
        assert problem(await group.post(by, signed), 403, "event_invalid")["detail"] == reason
    problem(await group.post(ana, Signed(b"\x80", bytes(64))), 400, "malformed")
    assert "another device" in problem(await group.post(bruno, good), 403, "event_invalid")["detail"]


async def test_named_members_must_be_who_they_are(http: httpx.AsyncClient, friends: list[Person]) -> None:
    ana, bruno, carla, _ = friends
    group = await Group.create(http, ana, bruno)
    false_identity = Member(uid=carla.uid, idfp=bytes(32), role="member")
    nobody = Member(uid=b"\x01" * 16, idfp=bytes(32), role="member")

    problem(await group.post(ana, group.sign(ana, "add", members=(false_identity,))), 403, "event_invalid")
    problem(await group.post(ana, group.sign(ana, "add", members=(nobody,))), 404, "unknown_user")


async def test_requests_of_one_sender_are_limited(
    http: httpx.AsyncClient, app_server: Server, clock: FakeClock
) -> None:
    ana = await register(app_server, "ana")
    strangers = [
        await register(app_server, f"stranger{number}", network=f"10.0.{number}.0/24")
        for number in range(limits.PENDING_PER_SENDER_DAY + 1)
    ]
    await Group.create(http, ana, *strangers[:-1])
    late = create_event(ana, strangers[-1])
    problem(await ana.call(http, "POST", "/v1/chats", {"create": json_of(late)}), 429, "request_limit")


async def test_direct_chat_takes_device_events_only(
    http: httpx.AsyncClient, app_server: Server, friends: list[Person]
) -> None:
    ana, bruno, *_ = friends
    chat_id = direct_chat_id(app_server.facts.server_id, ana.uid, bruno.uid)
    group = Group(http, chat_id, 0, chat_id)

    problem(await group.post(ana, group.sign(ana, "timer", timer_s=5)), 403, "event_invalid")
    await add_device(talk(app_server), ana, now_ms=app_server.clock.now_ms())
    answer = await group.event(ana, "device", who=ana.uid, dl_ver=2)
    assert (answer["member_seq"], answer["epoch"]) == (1, 1)
    await group.event(bruno, "device", who=bruno.uid)
    stored = await app_server.db.query(lambda db: read_state(db, chat_id, app_server.facts.server_id))
    assert stored is not None
    assert stored.state == await _fold_direct(app_server, http, group, ana, bruno)


async def _fold_direct(server: Server, http: httpx.AsyncClient, group: Group, ana: Person, bruno: Person) -> Any:
    lists = {
        uid: found
        for uid in (ana.uid, bruno.uid)
        if (found := await server.db.query(lambda db, uid=uid: read_list(db, uid)))  # type: ignore[misc]
    }
    state = start_direct(group.chat_id, server.facts.server_id, ana.uid, bruno.uid)
    answer = (await ana.call(http, "GET", f"{group.path}/members-events")).json()
    for served in answer["events"]:
        signed = Signed(unb64(served["event"]["body"]), unb64(served["event"]["sig"]))
        verdict = judge(state, signed, lookup_in(lists))
        assert isinstance(verdict, Valid)
        state = verdict.state
    return state


async def test_chain_is_paged(http: httpx.AsyncClient, friends: list[Person]) -> None:
    ana, bruno, *_ = friends
    group = await Group.create(http, ana, bruno)
    for seconds in (1, 2, 3):
        await group.event(ana, "timer", timer_s=seconds)
    page = (await bruno.call(http, "GET", f"{group.path}/members-events?after=2")).json()

    assert [event["seq"] for event in page["events"]] == [3, 4]
    assert page["more"] is False


@pytest.mark.quick
async def test_everybody_is_told_and_the_removed_one_for_the_last_time(
    http: httpx.AsyncClient, app_server: Server, friends: list[Person]
) -> None:
    ana, bruno, carla, _ = friends
    ear = Ear()
    app_server.hub.attach(ear)
    group = await Group.create(http, ana, bruno, carla)
    removal = group.sign(ana, "remove", who=carla.uid)
    await group.post(ana, removal)
    await group.post(ana, group_next(group, removal, ana))

    (_, joined, first, _), (_, none, second, rows), (_, _, third, _) = ear.rows
    assert len(joined) == 3
    assert set(first) == set(second) > set(third)
    assert none == ()
    assert (rows[0].kind, rows[0].seq) == (EventKind.MEMBER, 2)


def group_next(group: Group, before: Signed, by: Person) -> Signed:
    return sign(by, "timer", chat_id=group.chat_id, seq=group.seq + 2, prev=event_hash(before.body), timer_s=9)
