"""Which frame does what for whom: each kind, for a member of a group, for somebody who was one, and for a stranger.

The kinds are the protocol's own: a new one fails here until it is judged. tests/server/content has the same for REST.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import msgspec
import pytest
from sqlalchemy import Connection, delete

from mensajeria.protocol import frames
from mensajeria.protocol.errors import Code
from mensajeria.protocol.frames import PutOutcome, PutTarget
from mensajeria.protocol.records import MessageOuter
from mensajeria.server.db.schema_chats import chat_member
from tests.server.people import PREKEY_ID, Person, insert_group
from tests.server.process import World
from tests.server.realtime.device import Device, outer

IN, OUT = "in", "out"


@dataclass
class Group:
    """A group with Ana in it, who is connected."""

    chat_id: bytes
    ana: Person
    device: Device


Judge = Callable[[Device, Group], Any]


async def send(by: Device, group: Group) -> object:
    by.send(outer(group.chat_id, os.urandom(16)))
    await by.ping()
    answer: Any = await by.expect(msgspec.Struct, lambda one: isinstance(one, frames.Ack | frames.Nack))
    return IN if isinstance(answer, frames.Ack) else answer.code


async def listed(by: Device, group: Group) -> object:
    by.send(frames.Sync(1))
    heads = (await by.expect(frames.SyncPage)).heads
    return IN if group.chat_id in {head.chat_id for head in heads} else OUT


async def read(by: Device, group: Group) -> object:
    by.send(frames.Fetch(1, group.chat_id, 0, 10))
    answer: Any = await by.expect(msgspec.Struct, lambda one: isinstance(one, frames.Events | frames.Error))
    return IN if isinstance(answer, frames.Events) else answer.code


async def put(by: Device, group: Group) -> object:
    by.send(frames.PutDevice(1, (PutTarget(group.ana.did, PREKEY_ID, b"x"),), 0))
    (outcome,) = (await by.expect(frames.PutResult)).outcomes
    return outcome


async def read_mail(by: Device, _group: Group) -> object:
    """There is some in Ana's mailbox only."""
    by.send(frames.MailFetch(1, 0))
    return len((await by.expect(frames.MailPage)).envelopes)


async def ack_mail(by: Device, group: Group) -> object:
    """The number of Ana's first envelope, which is in her mailbox afterwards as before."""
    by.send(frames.MailAck((1,)))
    await by.ping()
    group.device.send(frames.MailFetch(1, 0))
    return 1 in {one.id for one in (await group.device.expect(frames.MailPage)).envelopes}


async def ping(by: Device, _group: Group) -> object:
    await by.ping()
    return IN


def quietly(frame: Callable[[Group], msgspec.Struct]) -> Judge:
    """A frame without an answer, but for a refusal."""

    async def judge(by: Device, group: Group) -> object:
        by.send(frame(group))
        await by.ping()
        errors = [item for item in by.items if isinstance(item, frames.Error)]
        return errors[0].code if errors else IN

    return judge


NO_SUCH = {IN: IN, "was in": Code.UNKNOWN_CHAT, OUT: Code.UNKNOWN_CHAT}
ALIKE = {IN: IN, "was in": IN, OUT: IN}
MATRIX: dict[type, tuple[Judge, Mapping[str, object]]] = {
    MessageOuter: (send, NO_SUCH),
    frames.Sync: (listed, {IN: IN, "was in": OUT, OUT: OUT}),
    frames.Fetch: (read, NO_SUCH),
    frames.PutDevice: (put, {IN: PutOutcome.OK, "was in": PutOutcome.REFUSED, OUT: PutOutcome.REFUSED}),
    frames.MailFetch: (read_mail, {IN: 0, "was in": 0, OUT: 0}),
    frames.MailAck: (ack_mail, dict.fromkeys(ALIKE, True)),
    frames.Cursor: (quietly(lambda group: frames.Cursor(group.chat_id, 0)), NO_SUCH),
    frames.Typing: (quietly(lambda group: frames.Typing(group.chat_id, bytes(16), True)), NO_SUCH),
    frames.Presence: (quietly(lambda _group: frames.Presence(bytes(16), True)), ALIKE),
    frames.Ping: (ping, ALIKE),
    frames.Pong: (quietly(lambda _group: frames.Pong(1)), ALIKE),
}


def test_every_frame_of_a_client_is_in_the_matrix() -> None:
    assert set(MATRIX) | {frames.Hello} == set(
        get_args(frames.ClientFrame)
    )  # a hello: tests/server/realtime/test_gateway


@pytest.mark.parametrize("role", [IN, "was in", OUT])
async def test_each_frame_does_what_it_may(world: World, role: str) -> None:
    ana, friend, other = await world.people(3)
    chat_id = os.urandom(32)

    def make(db: Connection) -> None:
        insert_group(db, chat_id, [ana, friend, *([] if role == OUT else [other])])
        if role == "was in":
            db.execute(delete(chat_member).where(chat_member.c.account == other.account_id))

    await world.server.db(make)
    group = Group(chat_id, ana, await Device.online(world, ana))
    sender = await Device.online(world, friend)
    assert await put(sender, group) is PutOutcome.OK

    await group.device.expect(frames.Envelope)
    got = {}
    for kind in MATRIX:
        got[kind] = await MATRIX[kind][0](await Device.online(world, other), group)
        if role != IN:
            assert await group.device.is_quiet(), kind
    assert got == {kind: expected[role] for kind, (_, expected) in MATRIX.items()}
