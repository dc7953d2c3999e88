"""A device is removed: every chat is told, and nothing that it signs or holds counts, whatever the server does.

Bruno has a laptop and a phone; the phone is what gets lost.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

import pytest

from mensajeria.client import Client
from mensajeria.client.api import Cause, DeviceListChanged
from mensajeria.client.engine.device_events import DeviceEvents, next_event
from mensajeria.client.engine.letters import ROOM_KEY
from mensajeria.client.errors import RefusedError, StateError
from mensajeria.crypto.device import DeviceKeys
from mensajeria.crypto.message import Draft, seal_message, text_body
from mensajeria.crypto.sender import OutboundSession
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import api, frames
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.errors import Code
from mensajeria.protocol.frames import Event, EventKind
from mensajeria.protocol.ids import SessionId
from mensajeria.protocol.membership import MembershipState
from mensajeria.protocol.records import MemberEvent, SenderAddress, Signed
from tests.attacks.forging import contact_of, envelope_for, now_ms
from tests.attacks.stage import PASSWORDS, Actor, Stage

pytestmark = pytest.mark.slow


async def state_of(actor: Actor, chat_id: bytes) -> MembershipState:
    memberships = actor.client._context.memberships
    return await actor.read(lambda tx: memberships.of(tx, chat_id).now)  # type: ignore[arg-type]


async def knows_floor(actor: Actor, chat_id: bytes, uid: bytes, dl_ver: int) -> None:
    """Wait until the chat refuses what that person's devices sign under an older list."""
    for _ in range(1000):
        if (await state_of(actor, chat_id)).members[uid].dl_floor >= dl_ver:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the chat was not told")


async def lost_phone(stage: Stage) -> tuple[Actor, Actor, Actor, DeviceKeys]:
    """Ana, Bruno's laptop, and the phone's keys as a thief has them; the phone has written once."""
    ana, bruno, phone = await stage.open("ana"), await stage.open("bruno"), await stage.open("phone")
    await phone.send(stage.chat_id, "desde el teléfono")
    await ana.shows(stage.chat_id, "bruno: desde el teléfono")
    return ana, bruno, phone, await phone.device()


async def remove_phone(bruno: Actor, device: DeviceKeys) -> None:
    await bruno.client.revoke_device(device.did, PASSWORDS["bruno"])


async def test_every_chat_is_told_that_a_device_was_removed_and_everybody_starts_new_sessions(
    phone_stage: Stage,
) -> None:
    stage = phone_stage
    ana, bruno, _, device = await lost_phone(stage)
    await ana.send(stage.chat_id, "antes")
    old = await ana.read(lambda tx: tx.outbound.get(stage.chat_id))
    await remove_phone(bruno, device)
    for actor in (ana, bruno):
        await knows_floor(actor, stage.chat_id, bruno.uid, 3)
    await ana.send(stage.chat_id, "después")
    await bruno.shows(stage.chat_id, "ana: antes", "ana: después")
    await bruno.send(stage.chat_id, "yo también")
    await ana.shows(stage.chat_id, "bruno: yo también")
    new = await ana.read(lambda tx: tx.outbound.get(stage.chat_id))
    assert old is not None
    assert new is not None
    assert old.session_id != new.session_id
    assert device.did not in await ana.read(lambda tx: tx.outbound.shares(new.session_id))
    assert await bruno.read(lambda tx: tx.health.pending_events()) == 0
    assert ana.warnings() == bruno.warnings() == []


async def test_the_events_are_signed_after_a_crash(phone_stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The device is removed on the server, and the program dies before a single chat was told."""
    stage = phone_stage
    ana, bruno, _, device = await lost_phone(stage)

    async def dies(_: DeviceEvents) -> None:
        await asyncio.Event().wait()

    with monkeypatch.context() as patched:
        patched.setattr(DeviceEvents, "run_due", dies)
        await remove_phone(bruno, device)
        assert await bruno.read(lambda tx: tx.health.pending_events()) == 1
        assert (await state_of(bruno, stage.chat_id)).members[bruno.uid].dl_floor == 0
        await bruno.close()
    bruno = await stage.open("bruno")
    await knows_floor(ana, stage.chat_id, bruno.uid, 3)


async def test_a_removal_whose_answer_was_never_seen_is_told_by_the_next_start(
    phone_stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even the note was stored: the newer own list says by itself that a device is gone."""
    stage = phone_stage
    ana, bruno, _, device = await lost_phone(stage)
    keys = await bruno.client._management._with_flow(
        Secret.from_text(PASSWORDS["bruno"]), None, lambda flow, owner: flow.remove_device(owner, device.did)
    )
    assert keys is not None
    await bruno.close()
    monkeypatch.setattr("mensajeria.client.engine.new_devices.OTHERS_WAIT_MS", 1)
    bruno = await stage.open("bruno")
    await knows_floor(ana, stage.chat_id, bruno.uid, 3)


async def test_who_loses_the_swap_signs_again_after_the_other_event(phone_stage: Stage) -> None:
    stage = phone_stage
    ana, bruno, _, device = await lost_phone(stage)
    rest = bruno.client._context.rest
    append: Callable[[bytes, Signed], Awaitable[api.MemberEventStored]] = rest.chats.append_event
    refused: list[str] = []

    async def later(chat_id: bytes, event: Signed) -> api.MemberEventStored:
        if not refused:
            await ana.client._context.rest.chats.append_event(chat_id, await own_device_event(ana, chat_id))
        try:
            return await append(chat_id, event)
        except RefusedError as error:
            refused.append(error.code)
            raise

    rest.chats.append_event = later  # type: ignore[method-assign]
    await remove_phone(bruno, device)
    await knows_floor(ana, stage.chat_id, bruno.uid, 3)
    assert refused == [Code.EVENT_CONFLICT]
    state = await state_of(ana, stage.chat_id)
    assert (state.seq, state.members[ana.uid].dl_floor) == (2, 1)


async def own_device_event(actor: Actor, chat_id: bytes) -> Signed:
    """A `device` event of the actor's own, valid now."""
    context = actor.client._context
    event = await actor.read(lambda tx: next_event(tx, context.me, context.memberships, chat_id, 1))  # type: ignore[arg-type]
    assert event is not None
    return event


# --- what the thief of the phone can still do


async def thief_address(ana: Actor, bruno: Actor, device: DeviceKeys, dl_ver: int) -> SenderAddress:
    contact = await ana.read(contact_of(bruno.uid))
    return SenderAddress(uid=bruno.uid, did=device.did, idfp=contact.idfp, dl_ver=dl_ver)


async def show_row(stage: Stage, actor: Actor, body: bytes) -> None:
    """The server puts a row behind the log's end in front of one person."""
    with stage.evil.database() as db:
        (last,) = db.execute("SELECT last_seq FROM chat WHERE chat_id = ?", (stage.chat_id,)).fetchone()
    await stage.evil.tell(actor.uid, frames.Batch((Event(stage.chat_id, last + 1, 0, EventKind.MESSAGE, body),)))


async def removed(stage: Stage) -> tuple[Actor, Actor, DeviceKeys]:
    ana, bruno, phone, device = await lost_phone(stage)
    await remove_phone(bruno, device)
    for actor in (ana, bruno):
        await knows_floor(actor, stage.chat_id, bruno.uid, 3)
    await phone.close()
    return ana, bruno, device


async def test_an_envelope_of_a_removed_device_is_refused(phone_stage: Stage) -> None:
    ana, bruno, device = await removed(phone_stage)
    state = await state_of(ana, phone_stage.chat_id)
    session = OutboundSession.create(device, chat_id=phone_stage.chat_id, head=state.head, dl_ver=3, now_ms=now_ms())
    address = await thief_address(ana, bruno, device, 3)
    key = await envelope_for(phone_stage, ana, device, address, ROOM_KEY, session.room_key())
    await phone_stage.evil.tell(ana.uid, frames.Batch((key,)))
    await ana.send(phone_stage.chat_id, "sigo")
    await bruno.shows(phone_stage.chat_id, "ana: sigo")
    assert await ana.read(lambda tx: tx.inbound.find(phone_stage.chat_id, SessionId(session.session_id))) == ()


@pytest.mark.parametrize("dl_ver", [2, 3])
async def test_a_later_session_of_a_removed_device_opens_nothing(phone_stage: Stage, dl_ver: int) -> None:
    """Backdated to the list that still had it, or under the one that has it no more; somebody else carries it."""
    ana, bruno, device = await removed(phone_stage)
    state = await state_of(ana, phone_stage.chat_id)
    session = OutboundSession.create(
        device, chat_id=phone_stage.chat_id, head=state.head, dl_ver=dl_ver, now_ms=now_ms()
    )
    carrier = await bruno.device()
    address = SenderAddress(uid=bruno.uid, did=carrier.did, idfp=(await ana.read(contact_of(bruno.uid))).idfp, dl_ver=3)
    key = await envelope_for(phone_stage, ana, carrier, address, ROOM_KEY, session.room_key())
    await phone_stage.evil.tell(ana.uid, frames.Batch((key,)))
    draft = Draft("text", os.urandom(16), text_body("soy bruno"), state.head)
    await show_row(phone_stage, ana, seal_message(session, draft, now_ms=now_ms(), epoch=state.epoch).outer)
    await ana.has_place(phone_stage.chat_id, Cause.TAMPERED if dl_ver == 2 else Cause.WAITING)
    assert "bruno: soy bruno" not in await ana.texts(phone_stage.chat_id)
    assert ("key_refused" in ana.warnings()) is (dl_ver == 3)


@pytest.mark.parametrize("dl_ver", [2, 3])
async def test_a_later_event_of_a_removed_device_is_void_and_refused_by_the_server_too(
    phone_stage: Stage, dl_ver: int
) -> None:
    ana, bruno, device = await removed(phone_stage)
    event = await own_device_event_as(ana, bruno.uid, device, phone_stage.chat_id, dl_ver)
    before = await state_of(ana, phone_stage.chat_id)
    with phone_stage.evil.database() as db:
        sql = "SELECT last_seq FROM chat WHERE chat_id = ?"
        (last,) = db.execute(sql, (phone_stage.chat_id,)).fetchone()
    row = Event(phone_stage.chat_id, last + 1, 0, EventKind.MEMBER, encode(event))
    await phone_stage.evil.tell(ana.uid, frames.Batch((row,)))
    await asyncio.sleep(0.2)
    assert (await state_of(ana, phone_stage.chat_id)).seq == before.seq
    with pytest.raises(RefusedError) as refused:
        await bruno.client._context.rest.chats.append_event(phone_stage.chat_id, event)
    assert refused.value.code == Code.EVENT_INVALID


async def own_device_event_as(ana: Actor, uid: bytes, device: DeviceKeys, chat_id: bytes, dl_ver: int) -> Signed:
    """The next event of the chain by the removed device."""
    state = await state_of(ana, chat_id)
    event = MemberEvent(
        chat_id=chat_id,
        seq=state.seq + 1,
        prev=state.hash,
        by_uid=uid,
        by_did=device.did,
        dl_ver=dl_ver,
        type="device",
        ts=1,
        who=uid,
    )
    return device.member_event(event)


# --- a new device that is not mine


async def test_a_new_device_is_shown_as_new_until_it_is_confirmed(stage: Stage) -> None:
    bruno = await stage.open("bruno")
    stranger = await Client.login(
        stage.evil.url,
        "bruno",
        PASSWORDS["bruno"],
        profile=stage.folder / "stranger",
        insecure_key_file=True,
        device_name="¿quién?",
    )
    stage.actors.append(Actor.watch(stranger))
    await bruno.until(lambda: any(isinstance(one, DeviceListChanged) for one in bruno.events), "told")
    told = next(one for one in bruno.events if isinstance(one, DeviceListChanged))
    did = stranger._context.me.did
    assert [(one.did, one.name, one.is_new) for one in told.added] == [(did, "¿quién?", True)]
    assert told.removed == ()
    assert {one.did: one.is_new for one in await bruno.client.devices()}[did] is True
    await bruno.client.confirm_device(did)
    assert not any(one.is_new for one in await bruno.client.devices())


async def test_a_denied_device_is_cut_off_and_comes_back_with_no_password(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    stranger = await Client.login(
        stage.evil.url, "bruno", PASSWORDS["bruno"], profile=stage.folder / "stranger", insecure_key_file=True
    )
    other = await Actor.watch(stranger).online()
    stage.actors.append(other)
    did = stranger._context.me.did
    await bruno.until(lambda: any(isinstance(one, DeviceListChanged) for one in bruno.events), "told")
    await bruno.client.deny_device(did, PASSWORDS["bruno"])
    await knows_floor(ana, stage.chat_id, bruno.uid, 3)
    gone = [one for one in bruno.events if isinstance(one, DeviceListChanged)][-1]
    assert (gone.added, gone.removed) == ((), (did,))
    await ana.send(stage.chat_id, "ya no la lee")
    await bruno.shows(stage.chat_id, "ana: ya no la lee")
    assert "ana: ya no la lee" not in await other.texts(stage.chat_id)
    with pytest.raises(StateError):
        await stranger.login_again(PASSWORDS["bruno"])


async def test_a_young_device_cannot_remove_the_older_one_without_the_recovery_code(stage: Stage) -> None:
    """A thief of the password adds a device and tries to throw the owner out."""
    bruno = await stage.open("bruno")
    stranger = await Client.login(
        stage.evil.url, "bruno", PASSWORDS["bruno"], profile=stage.folder / "stranger", insecure_key_file=True
    )
    stage.actors.append(Actor.watch(stranger))
    with pytest.raises(RefusedError) as refused:
        await stranger.revoke_device(bruno.client._context.me.did, PASSWORDS["bruno"])
    assert refused.value.code == Code.APPROVAL_NEEDED
    with pytest.raises(RefusedError) as refused:
        await stranger.change_password(PASSWORDS["bruno"], "otra contraseña 88 larga")
    assert refused.value.code == Code.APPROVAL_NEEDED
    await bruno.client.deny_device(stranger._context.me.did, PASSWORDS["bruno"])
    assert len(await bruno.client.devices()) == 1
