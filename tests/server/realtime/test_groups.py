"""Groups, erasing and blocks through a real server: what devices are pushed, and what they are refused."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec
import pytest
from sqlalchemy import Connection, insert, select, update

from mensajeria.crypto.device import DeviceKeys
from mensajeria.crypto.recovery import RecoveryCode
from mensajeria.crypto.root import AccountRoot
from mensajeria.protocol.api import MAC_HEADER, rest_key, rest_mac
from mensajeria.protocol.errors import Code
from mensajeria.protocol.frames import (
    Ack,
    Error,
    Event,
    EventKind,
    Events,
    Fetch,
    Head,
    Nack,
    NewChat,
    Tombstone,
    Typing,
)
from mensajeria.protocol.ids import b64
from mensajeria.protocol.membership import direct_chat_id, event_hash, group_chat_id
from mensajeria.protocol.records import Member, MemberEvent, Signed
from mensajeria.server.db.schema import account, device_list
from tests.server.people import NOW_MS, Person, insert_direct_chat
from tests.server.process import World
from tests.server.realtime.device import Device, outer


@dataclass
class Signer:
    """A person of the world with keys, who signs events and calls REST."""

    world: World
    person: Person
    keys: DeviceKeys
    idfp: bytes
    counter: int = 0

    @classmethod
    async def give_keys(cls, world: World, person: Person) -> Signer:
        """Put an identity and a device list behind an account that was made without."""
        root, code = AccountRoot.generate(), RecoveryCode.generate()
        identity = root.identity(person.uid, code.public)
        keys = DeviceKeys.create(person.uid, person.did)
        signed = identity.first_list("somebody", keys.card(identity.idfp, NOW_MS), NOW_MS)

        def store(db: Connection) -> None:
            own = account.c.id == person.account_id
            db.execute(update(account).where(own).values(identity=identity.record, idfp=identity.idfp))
            row = {"account_id": person.account_id, "ver": 1, "body": signed.body, "sig": signed.sig}
            db.execute(insert(device_list).values(**row, created_ms=NOW_MS))

        await world.server.db(store)
        return cls(world, person, keys, identity.idfp)

    def member(self, role: str = "member") -> Member:
        return Member(uid=self.person.uid, idfp=self.idfp, role=role)

    def sign(self, type_: str, **fields: Any) -> Signed:
        base: dict[str, Any] = {"chat_id": bytes(32), "seq": 1, "prev": bytes(32), "dl_ver": 1, "ts": NOW_MS}
        who = {"by_uid": self.person.uid, "by_did": self.person.did, "type": type_}
        return self.keys.member_event(MemberEvent(**{**base, **who, **fields}))

    async def call(self, method: str, path: str, json: object = None) -> httpx.Response:
        body = b"" if json is None else httpx.Request("POST", "http://x", json=json).content
        self.counter += 1
        mac = rest_mac(rest_key(self.person.ck.reveal()), method, path, body, self.counter)
        headers = {
            "Authorization": f"Bearer {self.world.token(self.person)}",
            MAC_HEADER: mac,
            "Content-Type": "application/json",
        }
        url = f"http://127.0.0.1:{self.world.server.port}{path}"
        async with httpx.AsyncClient() as http:
            response = await http.request(method, url, content=body, headers=headers)
        assert response.is_success, response.text
        return response


def json_of(signed: Signed) -> dict[str, str]:
    return {"body": b64(signed.body), "sig": b64(signed.sig)}


@dataclass
class Circle:
    """Ana's group with Bruno and Carla, who know her."""

    ana: Signer
    bruno: Signer
    carla: Signer
    chat_id: bytes
    hash: bytes

    async def post(self, by: Signer, type_: str, seq: int, prev: bytes, **fields: Any) -> tuple[Signed, dict[str, Any]]:
        signed = by.sign(type_, chat_id=self.chat_id, seq=seq, prev=prev, **fields)
        answer = await by.call("POST", f"/v1/chats/{b64(self.chat_id)}/events", {"event": json_of(signed)})
        return signed, answer.json()


@pytest.fixture
async def circle(world: World) -> Circle:
    people = await world.people(3)
    first, *others = people
    for other in others:
        await world.server.db(
            lambda db, other=other: insert_direct_chat(db, world.facts.server_id, first, other)  # type: ignore[misc]
        )
    ana, bruno, carla = [await Signer.give_keys(world, person) for person in people]
    members = sorted([ana.member("owner"), bruno.member(), carla.member()], key=lambda one: one.uid)
    create = ana.sign("create", members=tuple(members), nonce=os.urandom(16))
    await ana.call("POST", "/v1/chats", {"create": json_of(create)})
    return Circle(ana, bruno, carla, group_chat_id(create.body), event_hash(create.body))


async def test_a_group_lives(world: World, circle: Circle) -> None:
    a, b, c = [await Device.online(world, one.person) for one in (circle.ana, circle.bruno, circle.carla)]
    a.send(outer(circle.chat_id, 1))
    assert (await a.expect(Ack)).seq == 2
    for other in (b, c):
        assert (await other.expect(Event)).seq == 2

    removal, answer = await circle.post(circle.ana, "remove", 2, circle.hash, who=circle.carla.person.uid)
    for one in (a, b, c):  # the removed one hears of it, too
        event = await one.expect(Event)
        assert (event.seq, event.kind) == (answer["seq"], EventKind.MEMBER)
        assert msgspec.msgpack.decode(event.body, type=Signed) == removal

    b.send(outer(circle.chat_id, 2))
    assert (await b.expect(Nack)).code == Code.STALE_EPOCH
    b.send(outer(circle.chat_id, 2, epoch=answer["epoch"]))
    assert (await b.expect(Ack)).seq == 4
    assert (await a.expect(Event)).seq == 4

    # a stranger from now on: no row, no place in the list, nothing by writing under the epoch it has just seen
    c.send(outer(circle.chat_id, 3, epoch=answer["epoch"]))
    assert (await c.expect(Nack)).code == Code.UNKNOWN_CHAT
    c.send(Fetch(7, circle.chat_id, 0, 10))
    assert (await c.expect(Error)).code == Code.UNKNOWN_CHAT
    assert await c.is_quiet()


@pytest.mark.slow
async def test_who_is_added_gets_the_head_and_the_log(world: World, circle: Circle) -> None:
    (dora,) = await world.people(1)
    signer = await Signer.give_keys(world, dora)
    d = await Device.online(world, dora)
    await circle.post(circle.ana, "add", 2, circle.hash, members=(signer.member(),))
    head: Head = (await d.expect(NewChat)).head

    assert (head.chat_id, head.last_seq, head.member_seq, head.accepted) == (circle.chat_id, 2, 2, False)
    d.send(Fetch(1, circle.chat_id, 0, 10))
    page = await d.expect(Events)
    assert [event.kind for event in page.events] == [EventKind.MEMBER] * 2


@pytest.mark.slow
async def test_an_erased_message_comes_again_as_a_tombstone(world: World, circle: Circle) -> None:
    a, b = await Device.online(world, circle.ana.person), await Device.online(world, circle.bruno.person)
    token = os.urandom(32)
    message = outer(circle.chat_id, 1)
    a.send(msgspec.structs.replace(message, del_hash=hashlib.sha256(token).digest()))
    seq = (await a.expect(Ack)).seq
    await b.expect(Event)
    item = {"mid": b64(message.mid), "token": b64(token)}
    await circle.ana.call("POST", f"/v1/chats/{b64(circle.chat_id)}/erase", {"items": [item]})

    for one in (a, b):
        event = await one.expect(Event)
        assert (event.seq, event.kind) == (seq, EventKind.TOMBSTONE)
        assert msgspec.msgpack.decode(event.body, type=Tombstone).why == 1


async def test_blocked(world: World, circle: Circle) -> None:
    ana, bruno = circle.ana, circle.bruno
    chat_id = direct_chat_id(world.facts.server_id, ana.person.uid, bruno.person.uid)
    a, b = await Device.online(world, ana.person), await Device.online(world, bruno.person)
    b.send(outer(chat_id, 1))
    await b.expect(Ack)
    await a.expect(Event)
    await ana.call("PUT", f"/v1/blocks/{b64(bruno.person.uid)}")
    for one in (a, b):
        one.send(outer(chat_id, os.urandom(16)))
        assert (await one.expect(Nack)).code == Code.FORBIDDEN
    b.send(Typing(chat_id, bytes(16), on=True))
    await b.ping()
    assert await a.is_quiet()
    b.send(outer(circle.chat_id, 5))  # in the group they share, messages pass
    assert (await a.expect(Event)).chat_id == circle.chat_id

    await ana.call("DELETE", f"/v1/blocks/{b64(bruno.person.uid)}")
    b.send(outer(chat_id, 2))
    assert (await b.expect(Ack)).seq == 2


@pytest.mark.slow
async def test_a_timer_is_noted_with_its_row(world: World, circle: Circle) -> None:
    from mensajeria.server.db.schema_chats import chat  # noqa: PLC0415
    from mensajeria.server.db.schema_content import event_due  # noqa: PLC0415

    a = await Device.online(world, circle.ana.person)
    a.send(msgspec.structs.replace(outer(circle.chat_id, 1), ttl_bucket=1))
    ack = await a.expect(Ack)
    query = select(event_due.c.due_ms, event_due.c.seq).join(chat, chat.c.id == event_due.c.chat)

    def read(db: Connection) -> list[tuple[int, int]]:
        return [tuple(row) for row in db.execute(query.where(chat.c.chat_id == circle.chat_id))]

    assert await world.server.db(read, write=False) == [(ack.ts + 3600 * 1000, ack.seq)]
