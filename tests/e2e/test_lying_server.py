"""A server that knows the channel keys and lies: each lie is caught, nothing of it is used, and the person is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from mensajeria.client import Client, SecurityError, SendBlockedError
from mensajeria.client.api import Cause, IdentityChanged, MessageKind, MessageReceived, SecurityWarning, Trust
from mensajeria.client.engine.session import Session
from mensajeria.client.transport.rest.users import Users
from mensajeria.client.transport.websocket import WebSocket
from mensajeria.crypto.device import DeviceKeys
from mensajeria.crypto.recovery import RecoveryCode
from mensajeria.crypto.root import AccountRoot
from mensajeria.protocol import frames
from mensajeria.protocol.api import SignedModel, UserKeys
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.records import DeviceList, MessageOuter, Signed
from mensajeria.protocol.signing import Ctx
from tests.e2e.helpers import befriend, eventually, texts, until

Register = Callable[[str], Awaitable[Client]]
pytestmark = pytest.mark.slow
Rule = Callable[[frames.Event], list[frames.Event]]


@dataclass
class Lies:
    """What the server does to pushed rows; None = the truth."""

    rule: Rule | None = None
    seen: list[frames.Event] = field(default_factory=list)

    def apply(self, item: Any) -> list[Any]:
        if not isinstance(item, frames.Event):
            return [item]
        self.seen.append(item)
        return [item] if self.rule is None else list(self.rule(item))


@pytest.fixture
def lies(monkeypatch: pytest.MonkeyPatch) -> Lies:
    """Rows are changed after the frame's MAC was checked: that is what a server can do."""
    told, take = Lies(), Session._take

    def lying_take(self: Session, data: bytes, deliver: Callable[[Any], None]) -> None:
        def lie(frame: Any) -> None:
            if isinstance(frame, frames.Batch):
                items = tuple(changed for item in frame.items for changed in told.apply(item))
                frame = frames.Batch(items) if items else frames.Pong(0)
            deliver(frame)

        take(self, data, lie)

    monkeypatch.setattr(Session, "_take", lying_take)
    return told


def changed(event: frames.Event, **fields: Any) -> frames.Event:
    """The row with another content of its outer."""
    outer = msgspec.msgpack.decode(event.body, type=MessageOuter)
    return frames.Event(
        event.chat_id, event.seq, event.ts, event.kind, encode(msgspec.structs.replace(outer, **fields))
    )


def flip(data: bytes) -> bytes:
    return data[:40] + bytes([data[40] ^ 1]) + data[41:]


ALTERED = {
    "one bit of the ciphertext": lambda e: [changed(e, ct=flip(msgspec.msgpack.decode(e.body, type=MessageOuter).ct))],
    "another index": lambda e: [changed(e, idx=77)],
    "another message id": lambda e: [changed(e, mid=bytes(16))],
    "another chat": lambda e: [changed(e, chat_id=bytes(32))],
    "garbage": lambda e: [frames.Event(e.chat_id, e.seq, e.ts, e.kind, b"\xc1garbage")],
}


@pytest.mark.parametrize("how", ALTERED)
async def test_an_altered_row_is_shown_as_such(register: Register, lies: Lies, how: str) -> None:
    ana, bruno = await register("ana"), await register("bruno")
    chat, back = await befriend(ana, bruno)
    stream = bruno.events()
    lies.rule = ALTERED[how]
    await chat.send_text("no me toques")
    event = await until(stream, lambda e: isinstance(e, MessageReceived))
    assert isinstance(event, MessageReceived)
    assert (event.message.kind, event.message.cause, event.message.text) == (
        MessageKind.UNREADABLE, Cause.TAMPERED, "",
    )  # fmt: skip
    warning = await until(stream, lambda e: isinstance(e, SecurityWarning))
    assert isinstance(warning, SecurityWarning)
    assert (warning.code, warning.chat_id) == ("row_tampered", chat.chat_id)
    lies.rule = None
    await chat.send_text("y ahora bien")
    assert "no me toques" not in await texts(back)


async def test_a_row_delivered_twice_is_read_once(register: Register, lies: Lies) -> None:
    ana, bruno = await register("ana"), await register("bruno")
    chat, back = await befriend(ana, bruno)
    stream = bruno.events()
    lies.rule = lambda e: [e, e, frames.Event(e.chat_id, e.seq + 1, e.ts, e.kind, e.body)]
    await chat.send_text("una vez")
    warning = await until(stream, lambda e: isinstance(e, SecurityWarning))
    assert isinstance(warning, SecurityWarning)
    assert warning.code == "row_tampered"
    assert (await texts(back)).count("una vez") == 1


async def test_a_withheld_row_is_missed(register: Register, lies: Lies) -> None:
    ana, bruno = await register("ana"), await register("bruno")
    chat, back = await befriend(ana, bruno)
    stream = bruno.events()
    first_seq: list[int] = []

    def withhold(event: frames.Event) -> list[frames.Event]:
        if event.chat_id != chat.chat_id or first_seq:
            return [frames.Event(event.chat_id, event.seq - 1, event.ts, event.kind, event.body)]
        first_seq.append(event.seq)
        return []

    lies.rule = withhold
    await chat.send_text("esto no llega")
    await eventually(lambda: bool(first_seq))
    await chat.send_text("esto sí")
    notice = await until(stream, lambda e: isinstance(e, MessageReceived) and e.message.kind is MessageKind.NOTICE)
    assert isinstance(notice, MessageReceived)
    assert (notice.message.cause, dict(notice.message.params)) == (Cause.MISSING, {"count": "1"})
    warning = await until(stream, lambda e: isinstance(e, SecurityWarning))
    assert isinstance(warning, SecurityWarning)
    assert warning.code == "messages_missing"
    assert "esto sí" in await texts(back)


async def test_bytes_altered_on_the_way_end_the_connection_and_nothing_is_lost(
    register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, bruno = await register("ana"), await register("bruno")
    chat, back = await befriend(ana, bruno)
    push = WebSocket._push
    altered: list[bytes] = []

    def alter(self: WebSocket, data: bytes) -> None:
        if not altered and len(data) > 200:
            altered.append(data)
            data = data[:-1] + bytes([data[-1] ^ 1])
        push(self, data)

    monkeypatch.setattr(WebSocket, "_push", alter)
    await chat.send_text("llega igual")

    async def arrived() -> bool:
        return "llega igual" in await texts(back)

    await eventually(arrived)
    assert altered
    assert (await texts(back)).count("llega igual") == 1


async def test_a_swapped_identity_at_first_contact_names_the_wrong_person(
    register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, bruno, eva = await register("ana"), await register("bruno"), await register("eva")
    evas = await eva._context.rest.users.by_handle("eva")
    by_handle = Users.by_handle

    async def swap(self: Users, handle: str) -> UserKeys:
        return evas if handle == "bruno" else await by_handle(self, handle)

    monkeypatch.setattr(Users, "by_handle", swap)
    with pytest.raises(SecurityError) as caught:
        await ana.direct_chat("bruno")
    assert caught.value.code == "identity_swapped"
    assert await ana.chats() == ()
    assert bruno.me.handle == "bruno"


async def test_a_device_that_the_identity_never_signed_gets_no_key(
    register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, bruno, eva = await register("ana"), await register("bruno"), await register("eva")
    chat, _ = await befriend(ana, bruno)
    evas = await eva._context.rest.users.by_handle("eva")
    real = Users.keys

    async def ghost(self: Users, uid: bytes) -> UserKeys:
        keys = await real(self, uid)
        if uid == bruno.me.uid:
            return UserKeys(uid=keys.uid, identity=keys.identity, device_list=evas.device_list)
        return keys

    monkeypatch.setattr(Users, "keys", ghost)
    stream = ana.events()
    await ana._opened.store.run(lambda tx: tx.contacts.announce(bruno.me.uid, 9))
    ana._context.lists_wanted.set()
    warning = await until(stream, lambda e: isinstance(e, SecurityWarning))
    assert isinstance(warning, SecurityWarning)
    assert warning.code == "list_invalid"
    devices = await ana._opened.store.read(lambda tx: tx.outbound.shares(tx.outbound.get(chat.chat_id).session_id))  # type: ignore[union-attr]
    assert {share.uid for share in devices.values()} == {bruno.me.uid}


async def test_a_changed_identity_of_a_contact_is_told_and_not_blocked_before_verification(
    register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, bruno = await register("ana"), await register("bruno")
    chat, _ = await befriend(ana, bruno)
    stream = ana.events()
    await _give_new_identity(ana, bruno, monkeypatch)
    changed_event = await until(stream, lambda e: isinstance(e, IdentityChanged))
    assert isinstance(changed_event, IdentityChanged)
    assert not changed_event.blocked
    assert (await chat.view()).identity_changed
    await chat.accept_identity()
    assert not (await chat.view()).identity_changed


async def test_a_changed_identity_of_a_verified_contact_blocks_sending_until_accepted(
    register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, bruno = await register("ana"), await register("bruno")
    chat, _ = await befriend(ana, bruno)
    await ana._opened.store.run(lambda tx: tx.contacts.set_trust(bruno.me.uid, Trust.VERIFIED))
    stream = ana.events()
    await _give_new_identity(ana, bruno, monkeypatch)
    event = await until(stream, lambda e: isinstance(e, IdentityChanged))
    assert isinstance(event, IdentityChanged)
    assert event.blocked
    with pytest.raises(SendBlockedError):
        await chat.send_text("¿eres tú?")
    assert await ana._opened.store.read(lambda tx: tx.outbox.count()) == 0
    await chat.accept_identity()
    await chat.send_text("vale")
    assert (await texts(chat))[-1] == "vale"


async def _give_new_identity(ana: Client, bruno: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server serve a new, self-consistent identity of Bruno that continues his list."""
    me = bruno.me
    known = await ana._opened.store.read(lambda tx: tx.contacts.get(me.uid))
    assert known is not None
    forged = await asyncio.to_thread(lambda: AccountRoot.generate().identity(me.uid, RecoveryCode.generate().public))
    card = DeviceKeys.create(me.uid).card(forged.idfp, 1)
    body = encode(
        DeviceList(
            uid=me.uid,
            handle="bruno",
            idfp=forged.idfp,
            ver=known.list_ver + 1,
            prev=known.list_hash,
            ts=known.updated_ms,
            devices=(card.listed(known.list_ver + 1),),
            backup_ver=2,
        )
    )
    signed = Signed(body, forged.sign(Ctx.DEVICE_LIST, body))
    real = Users.keys

    async def serve(self: Users, uid: bytes) -> UserKeys:
        if uid != me.uid:
            return await real(self, uid)
        return UserKeys(uid=uid, identity=forged.record, device_list=SignedModel(body=signed.body, sig=signed.sig))

    monkeypatch.setattr(Users, "keys", serve)
    await ana._opened.store.run(lambda tx: tx.contacts.announce(me.uid, known.list_ver + 1))
    ana._context.lists_wanted.set()
