"""Membership events signed by registered people, for the tests of chats."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import httpx
from sqlalchemy import select

from mensajeria.protocol.devices import decode_device_list
from mensajeria.protocol.ids import b64
from mensajeria.protocol.membership import direct_chat_id, event_hash, group_chat_id
from mensajeria.protocol.records import Member, MemberEvent, Signed
from mensajeria.server.db.schema import account
from mensajeria.server.devices.lists import newest_list
from mensajeria.server.state import Server
from tests.server.enrol import Person

NOW = 1_700_000_000_000


def json_of(signed: Signed) -> dict[str, str]:
    return {"body": b64(signed.body), "sig": b64(signed.sig)}


def member(person: Person, role: str = "member") -> Member:
    return Member(uid=person.uid, idfp=person.identity.idfp, role=role)


def sign(person: Person, type_: str, **changes: Any) -> Signed:
    fields: dict[str, Any] = {
        "chat_id": bytes(32),
        "seq": 1,
        "prev": bytes(32),
        "by_uid": person.uid,
        "by_did": person.device.did,
        "dl_ver": 1,
        "type": type_,
        "ts": NOW,
        **changes,
    }
    return person.device.member_event(MemberEvent(**fields))


def create_event(owner: Person, *others: Person, roles: dict[bytes, str] | None = None) -> Signed:
    roles = roles or {}
    members = [member(owner, "owner"), *[member(other, roles.get(other.uid, "member")) for other in others]]
    ordered = tuple(sorted(members, key=lambda one: one.uid))
    return sign(owner, "create", members=ordered, nonce=os.urandom(16))


@dataclass
class Group:
    """A chain as its members sign it."""

    http: httpx.AsyncClient
    chat_id: bytes
    seq: int
    hash: bytes
    answers: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    async def create(
        cls, http: httpx.AsyncClient, owner: Person, *others: Person, roles: dict[bytes, str] | None = None
    ) -> Group:
        signed = create_event(owner, *others, roles=roles)
        response = await owner.call(http, "POST", "/v1/chats", {"create": json_of(signed)})
        assert response.status_code == 201, response.text
        group = cls(http, group_chat_id(signed.body), 1, event_hash(signed.body))
        group.answers.append(response.json())
        return group

    @property
    def path(self) -> str:
        return f"/v1/chats/{b64(self.chat_id)}"

    def sign(self, by: Person, type_: str, **changes: Any) -> Signed:
        place = {"chat_id": self.chat_id, "seq": self.seq + 1, "prev": self.hash}
        return sign(by, type_, **{**place, **changes})

    async def post(self, by: Person, signed: Signed) -> httpx.Response:
        return await by.call(self.http, "POST", f"{self.path}/events", {"event": json_of(signed)})

    async def event(self, by: Person, type_: str, **changes: Any) -> dict[str, Any]:
        """Append an event that must be taken."""
        signed = self.sign(by, type_, **changes)
        response = await self.post(by, signed)
        assert response.status_code == 201, response.text
        self.seq += 1
        self.hash = event_hash(signed.body)
        self.answers.append(response.json())
        answer: dict[str, Any] = response.json()
        return answer


async def befriend(http: httpx.AsyncClient, server: Server, one: Person, *others: Person) -> None:
    """Direct chats that both sides have accepted."""
    for other in others:
        chat_id = b64(direct_chat_id(server.facts.server_id, one.uid, other.uid))
        answer = await one.call(http, "PUT", f"/v1/chats/direct/{chat_id}", {"peer_uid": b64(other.uid)})
        assert answer.status_code == 200, answer.text
        accepted = await other.call(http, "PUT", f"/v1/chats/{chat_id}/answer", {"accept": True})
        assert accepted.status_code == 204, accepted.text


async def newest_version(server: Server, person: Person) -> int:
    def read(connection: Any) -> int:
        row = connection.execute(select(account.c.id).where(account.c.uid == person.uid)).scalar_one()
        return decode_device_list(newest_list(connection, row).body).ver

    return await server.db.query(read)


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    document: dict[str, Any] = response.json()
    assert (response.status_code, document["code"]) == (status, code), response.text
    return document
