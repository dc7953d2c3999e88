"""To-device envelopes that a server, or a member together with it, alters, repeats, withholds or makes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable

import msgspec
import pytest

from mensajeria.client.api import Cause, Message, MessageKind, MessageState
from mensajeria.client.engine.letters import ACK, KEY_REQUEST, READ, ROOM_KEY
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.sealing import room_key_name
from mensajeria.client.store import Tx
from mensajeria.client.store.values import NewMessage
from mensajeria.crypto.device import DeviceKeys
from mensajeria.crypto.message import Draft, seal_message, text_body
from mensajeria.crypto.sender import decode_room_key
from mensajeria.protocol import frames
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.frames import Envelope, Event, EventKind
from mensajeria.protocol.ids import ChatId, Mid, SessionId, Uid
from mensajeria.protocol.membership import direct_chat_id, start_direct
from mensajeria.protocol.records import KeyRequest, MembershipHead, OlmAck, ReadMarker, ReadReceipts, SenderAddress
from tests.attacks.evil import Rule, flipped
from tests.attacks.forging import Member, contact_of, envelope_for, list_known
from tests.attacks.stage import Actor, Stage, peer_of


class ChangeEnvelopes(Rule):
    """Envelopes for one person are something else."""

    def __init__(self, victim: bytes, change: Callable[[Envelope], Iterable[Envelope]]) -> None:
        self._victim = victim
        self._change = change
        self.changed = 0

    def envelope(self, to: bytes, envelope: Envelope) -> Iterable[Envelope]:
        if to != self._victim:
            return [envelope]
        self.changed += 1
        return self._change(envelope)


async def deliver(stage: Stage, actor: Actor, envelope: Envelope) -> None:
    """The server puts an envelope in front of a device."""
    await stage.evil.tell(actor.uid, frames.Batch((envelope,)))
    await actor.until(lambda: stage.evil.seen.frames_of(actor.uid, frames.MailAck), "acked")


async def new_key_on_its_way(stage: Stage, rule: Rule) -> tuple[Actor, Actor]:
    """Ana and Bruno's new phone, which needs an envelope with the session's key before it can read."""
    ana, phone = await stage.open("ana"), await stage.open("phone")
    stage.evil.rule = rule
    await ana.client._engine.directory.refresh(Uid(phone.uid))
    return ana, phone


def phone_uid(stage: Stage) -> bytes:
    with stage.evil.database() as db:
        return bytes(db.execute("SELECT uid FROM account WHERE handle = 'bruno'").fetchone()[0])


async def test_an_envelope_delivered_twice_has_one_effect(phone_stage: Stage) -> None:
    def twice(envelope: Envelope) -> Iterable[Envelope]:
        return envelope, envelope, msgspec.structs.replace(envelope, id=envelope.id + (1 << 30))

    rule = ChangeEnvelopes(phone_uid(phone_stage), twice)
    ana, phone = await new_key_on_its_way(phone_stage, rule)
    await ana.send(phone_stage.chat_id, "una vez")
    await phone.shows(phone_stage.chat_id, "ana: una vez")
    assert rule.changed
    assert phone.warnings() == []


@pytest.mark.parametrize("offset", [0, 33, 1100, 1200, -1])
async def test_an_altered_envelope_is_refused_and_its_messages_wait_visibly(phone_stage: Stage, offset: int) -> None:
    def alter(envelope: Envelope) -> Iterable[Envelope]:
        yield msgspec.structs.replace(envelope, blob=flipped(envelope.blob, offset))

    ana, phone = await new_key_on_its_way(phone_stage, ChangeEnvelopes(phone_uid(phone_stage), alter))
    await ana.change(lambda tx: tx.outbound.drop(phone_stage.chat_id))  # the backup has the old session
    await ana.send(phone_stage.chat_id, "sin sobre")
    await phone.has_place(phone_stage.chat_id, Cause.WAITING)
    assert "ana: sin sobre" not in await phone.texts(phone_stage.chat_id)


async def test_a_withheld_envelope_makes_a_visible_gap_and_opens_it_when_it_comes(phone_stage: Stage) -> None:
    ana, phone = await new_key_on_its_way(phone_stage, ChangeEnvelopes(phone_uid(phone_stage), lambda _: ()))
    await ana.change(lambda tx: tx.outbound.drop(phone_stage.chat_id))  # the backup has the old session
    await ana.send(phone_stage.chat_id, "en camino")
    await phone.has_place(phone_stage.chat_id, Cause.WAITING)
    phone_stage.evil.rule = Rule()
    phone_stage.evil.drop_connections()
    await phone.shows(phone_stage.chat_id, "ana: en camino")


async def test_an_envelope_for_another_device_is_refused(phone_stage: Stage) -> None:
    caught: list[Envelope] = []

    def catch(envelope: Envelope) -> Iterable[Envelope]:
        caught.append(envelope)
        return ()

    ana, phone = await new_key_on_its_way(phone_stage, ChangeEnvelopes(phone_uid(phone_stage), catch))
    await ana.send(phone_stage.chat_id, "para el teléfono")
    await phone.until(lambda: caught, "caught")
    await phone.close()
    bruno = await phone_stage.open("bruno")
    before = await bruno.read(lambda tx: len(tx.inbound.find(phone_stage.chat_id, SessionId(bytes(32)))))
    await deliver(phone_stage, bruno, caught[0])
    after = await bruno.read(lambda tx: len(tx.inbound.find(phone_stage.chat_id, SessionId(bytes(32)))))
    assert before == after == 0
    await bruno.shows(phone_stage.chat_id, "ana: para el teléfono")


# --------------------------------------------------------------------------------------- made by a hostile member


async def forged_row(stage: Stage, actor: Actor, body: bytes) -> None:
    """The server shows a row that follows the log."""
    with stage.evil.database() as db:
        (last,) = db.execute("SELECT last_seq FROM chat WHERE chat_id = ?", (stage.chat_id,)).fetchone()
    event = Event(stage.chat_id, last + 1, 0, EventKind.MESSAGE, body)
    await stage.evil.tell(actor.uid, frames.Batch((event,)))


async def head_of(stage: Stage, actor: Actor) -> MembershipHead:
    me = actor.client._context.me
    peer = peer_of((await actor.client.chats())[0]).uid
    return start_direct(stage.chat_id, me.server_id, me.uid, peer).head


async def test_a_strangers_session_does_not_let_it_write_into_a_chat(stage: Stage) -> None:
    """Group burgling in a direct chat: a well-made key and a well-made message, by somebody who is no member."""
    bruno, eva = await stage.open("bruno"), Member()
    stage.evil.rule = eva.rule
    head = await head_of(stage, bruno)
    session = eva.session(stage.chat_id, head)
    key = await envelope_for(stage, bruno, eva.device, eva.address, ROOM_KEY, session.room_key())
    await deliver(stage, bruno, key)
    draft = Draft("text", os.urandom(16), text_body("soy ana"), head)
    await forged_row(stage, bruno, seal_message(session, draft, now_ms=1, epoch=0).outer)
    await bruno.warned("row_tampered")
    assert await bruno.texts(stage.chat_id) == ["ana: hola", "bruno: qué tal"]


async def test_a_session_in_somebody_elses_name_is_refused(stage: Stage) -> None:
    """Eva says that her session is Ana's; Ana's device has not signed it."""
    bruno, eva = await stage.open("bruno"), Member()
    ana = await bruno.read(contact_of(peer_of((await bruno.client.chats())[0]).uid))
    stage.evil.rule = eva.rule
    head = await head_of(stage, bruno)
    did = list_known(ana).list.devices[0].did
    session = eva.session(stage.chat_id, head, uid=ana.uid, did=did)
    key = await envelope_for(stage, bruno, eva.device, eva.address, ROOM_KEY, session.room_key())
    await deliver(stage, bruno, key)
    await bruno.warned("key_refused")
    assert await bruno.read(lambda tx: tx.inbound.find(stage.chat_id, SessionId(session.session_id))) == ()


async def test_another_ratchet_under_a_genuine_binding_is_refused(stage: Stage) -> None:
    """A forwarded key whose signature is Ana's and whose ratchet is Eva's."""
    ana, bruno = await stage.pair()
    await ana.send(stage.chat_id, "auténtico")
    outbound = await ana.read(lambda tx: tx.outbound.get(stage.chat_id))
    assert outbound is not None
    first = await ana.read(lambda tx: tx.own.get(room_key_name(outbound.session_id)))
    assert first is not None
    eva = Member()
    stage.evil.rule = eva.rule
    own = decode_room_key(eva.session(stage.chat_id, await head_of(stage, bruno)).room_key())
    forged = msgspec.structs.replace(decode_room_key(first.reveal()), session_key=own.session_key)
    await deliver(stage, bruno, await envelope_for(stage, bruno, eva.device, eva.address, ROOM_KEY, encode(forged)))
    await bruno.warned("key_refused")
    await ana.send(stage.chat_id, "sigue")
    await bruno.shows(stage.chat_id, "ana: auténtico", "ana: sigue")


async def test_an_envelope_in_somebody_elses_name_is_refused(stage: Stage) -> None:
    """Eva's key, Ana's address: the sender's key must be the one that Ana's list names."""
    ana, bruno = await stage.pair()
    contact, eva = await bruno.read(contact_of(ana.uid)), Member()
    address = SenderAddress(uid=ana.uid, did=ana.client._context.me.did, idfp=contact.idfp, dl_ver=contact.list_ver)
    # A device of Ana's id with Eva's keys.
    fake = DeviceKeys.create(ana.uid, ana.client._context.me.did)
    key = await envelope_for(stage, bruno, fake, address, ACK, encode(OlmAck()))
    await deliver(stage, bruno, key)
    await bruno.warned("envelope_forged")
    assert eva.uid != ana.uid


async def test_a_session_key_inside_a_message_is_not_taken(stage: Stage) -> None:
    """Protocol confusion: secrets are taken from envelopes only."""
    ana, bruno = await stage.pair()
    device = await ana.device()
    member = Member()
    member.device = device
    session = member.session(stage.chat_id, await head_of(stage, ana))
    mid = Mid(os.urandom(16))

    def add(tx: Tx, out: Outcome) -> Message:
        tx.outbox.add(stage.chat_id, mid, ROOM_KEY, session.room_key(), 1)
        me = Uid(ana.uid)
        return tx.messages.add(
            NewMessage(stage.chat_id, mid, me, True, MessageKind.TEXT, MessageState.QUEUED, 1, text="x")
        )

    await ana.client._engine.sending.enqueue(stage.chat_id, add)
    await ana.send(stage.chat_id, "después")
    await bruno.shows(stage.chat_id, "bruno: qué tal", "ana: después")
    assert [one.kind for one in await bruno.timeline(stage.chat_id)].count(MessageKind.UNKNOWN) == 1
    assert await bruno.read(lambda tx: tx.inbound.find(stage.chat_id, SessionId(session.session_id))) == ()


async def test_who_asks_for_a_session_of_a_chat_it_is_not_in_gets_nothing(stage: Stage) -> None:
    ana, eva = await stage.open("ana"), Member()
    stage.evil.rule = eva.rule
    await ana.send(stage.chat_id, "secreto")
    outbound = await ana.read(lambda tx: tx.outbound.get(stage.chat_id))
    assert outbound is not None
    me = ana.client._context.me
    question = KeyRequest(chat_id=stage.chat_id, session_id=outbound.session_id, uid=me.uid, did=me.did, index=0)
    await deliver(stage, ana, await envelope_for(stage, ana, eva.device, eva.address, KEY_REQUEST, encode(question)))
    await asyncio.sleep(0.3)
    assert eva.device.did not in stage.evil.seen.written_to(ana.uid)


async def test_a_strangers_envelopes_get_no_packet_back(stage: Stage) -> None:
    """Request-box probing: nothing leaves before the request was accepted."""
    bruno, eva = await stage.open("bruno"), Member()
    stage.evil.rule = eva.rule
    me = bruno.client._context.me
    chat_id = ChatId(direct_chat_id(me.server_id, me.uid, eva.uid))
    head = start_direct(chat_id, me.server_id, me.uid, eva.uid).head
    session = eva.session(chat_id, head)
    question = KeyRequest(chat_id=chat_id, session_id=session.session_id, uid=me.uid, did=me.did, index=0)
    contents = {
        ROOM_KEY: session.room_key(),
        KEY_REQUEST: encode(question),
        READ: encode(ReadReceipts(markers=(ReadMarker(chat_id, 9),))),
        ACK: encode(OlmAck()),
        "of a newer version": b"?",
    }
    for kind, content in contents.items():
        for _ in range(3):
            await deliver(stage, bruno, await envelope_for(stage, bruno, eva.device, eva.address, kind, content))
    await asyncio.sleep(0.3)
    assert stage.evil.seen.frames_of(bruno.uid, frames.PutDevice) == []
    assert [chat.accepted for chat in await bruno.client.chats() if chat.chat_id == chat_id] == [False]


@pytest.mark.parametrize("blob", [b"\0", os.urandom(40), os.urandom(2000), bytes(24 << 10)], ids=len)
async def test_garbage_in_the_mailbox_is_acked_and_forgotten(stage: Stage, blob: bytes) -> None:
    ana, bruno = await stage.pair()
    for prekey_id in (0, 1, 0xFFFF_FFFF):
        await stage.evil.tell(bruno.uid, frames.Batch((Envelope(7, prekey_id, blob),)))
    await ana.send(stage.chat_id, "sigo aquí")
    await bruno.shows(stage.chat_id, "ana: sigo aquí")
