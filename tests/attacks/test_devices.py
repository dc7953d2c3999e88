"""A server that lies about who has which devices: keys go only to devices that the person's own identity has listed."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from mensajeria.client.api import Cause, IdentityChanged, MessageState, Trust
from mensajeria.client.errors import SecurityError, SendBlockedError
from mensajeria.crypto.device import DeviceKeys
from mensajeria.protocol.devices import DeviceListError, verify_device_list
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.frames import ListChanged
from mensajeria.protocol.ids import Uid
from mensajeria.protocol.records import DeviceList, Signed
from mensajeria.protocol.signing import Ctx
from tests.attacks.evil import Rule, flipped
from tests.attacks.forging import Impostor, ServeKeys, contact_of, fresh_identity, keys_of, list_known, now_ms
from tests.attacks.stage import Actor, Stage, peer_of


async def known_list(actor: Actor, uid: bytes) -> tuple[bytes, Signed, DeviceList]:
    """Identity record and newest list that a client holds of somebody."""
    contact = await actor.read(contact_of(uid))
    return contact.identity, Signed(contact.list_body, contact.list_sig), list_known(contact).list


def with_ghost(record: bytes, signed: Signed, current: DeviceList, uid: bytes) -> tuple[Signed, DeviceKeys]:
    """The next version with one more device, under the old signature: all that a server can make."""
    ghost = DeviceKeys.create(uid)
    listed = ghost.card(current.idfp, now_ms()).listed(current.ver + 1)
    body = encode(msgspec.structs.replace(current, ver=current.ver + 1, devices=(*current.devices, listed)))
    return Signed(body, signed.sig), ghost


async def test_ghost_device_gets_no_key(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    record, signed, current = await known_list(ana, bruno.uid)
    forged, ghost = with_ghost(record, signed, current, bruno.uid)
    stage.evil.rule = ServeKeys(bruno.uid, keys_of(bruno.uid, record, forged))
    await stage.evil.tell(ana.uid, ListChanged(bruno.uid, current.ver + 1))
    await ana.warned("list_invalid")
    sent = await ana.send(stage.chat_id, "no para el fantasma", wait=False)
    await asyncio.sleep(0.2)
    assert ghost.did not in stage.evil.seen.written_to(ana.uid)
    assert (await known_list(ana, bruno.uid))[2] == current
    message = next(one for one in await ana.timeline(stage.chat_id) if one.mid == sent)
    assert message.state in {MessageState.QUEUED, MessageState.SENT, MessageState.DELIVERED}


async def test_ghost_device_among_the_own_ones_is_refused(stage: Stage) -> None:
    ana = await stage.open("ana")
    record, signed, current = await known_list(ana, ana.uid)
    forged, ghost = with_ghost(record, signed, current, ana.uid)
    stage.evil.rule = ServeKeys(ana.uid, keys_of(ana.uid, record, forged))
    await stage.evil.tell(ana.uid, ListChanged(ana.uid, current.ver + 1))
    await ana.warned("list_invalid")
    await ana.send(stage.chat_id, "sigo", wait=False)
    await asyncio.sleep(0.2)
    assert ghost.did not in stage.evil.seen.written_to(ana.uid)


async def test_own_identity_swapped_is_told_and_not_taken(stage: Stage) -> None:
    ana = await stage.open("ana")
    contact = await ana.read(contact_of(ana.uid))
    impostor = Impostor.instead_of(list_known(contact))
    stage.evil.rule = ServeKeys(ana.uid, keys_of(ana.uid, impostor.identity.record, impostor.signed))
    await stage.evil.tell(ana.uid, ListChanged(ana.uid, contact.list_ver + 1))
    await ana.warned("own_identity_swapped")
    assert (await ana.read(contact_of(ana.uid))).idfp == contact.idfp
    assert impostor.device.did not in stage.evil.seen.written_to(ana.uid)


async def test_list_rolled_back_is_refused(phone_stage: Stage) -> None:
    """A revoked device would come back to life with an old list."""
    stage = phone_stage
    ana, bruno = await stage.pair()
    await ana.client._engine.directory.refresh(Uid(bruno.uid))
    record, newest, current = await known_list(ana, bruno.uid)
    assert current.ver == 2
    with stage.evil.database() as db:
        sql = "SELECT body, sig FROM device_list JOIN account ON account.id = account_id WHERE ver = 1 AND handle = ?"
        old = Signed(*db.execute(sql, ("bruno",)).fetchone())
    stage.evil.rule = ServeKeys(bruno.uid, keys_of(bruno.uid, record, old))
    with pytest.raises(SecurityError):
        await ana.client._engine.directory.refresh(Uid(bruno.uid))
    await ana.warned("list_rolled_back")
    assert (await known_list(ana, bruno.uid))[1] == newest


async def test_hidden_list_is_asked_for_when_a_signature_names_it(phone_stage: Stage) -> None:
    """The server hides version 2; a message from the device it added cannot be read, waits, and opens later."""
    stage = phone_stage
    ana = await stage.open("ana")
    contact = await ana.read(contact_of(peer_of((await ana.client.chats())[0]).uid))
    assert contact.list_ver == 1
    hidden = keys_of(contact.uid, contact.identity, Signed(contact.list_body, contact.list_sig))
    stage.evil.rule = rule = ServeKeys(contact.uid, hidden, only=ana.uid)
    phone = await stage.open("phone")
    await phone.send(stage.chat_id, "desde el teléfono")
    await ana.has_place(stage.chat_id, Cause.WAITING)
    assert rule.asked
    stage.evil.rule = Rule()
    stage.evil.drop_connections()
    await ana.shows(stage.chat_id, "bruno: desde el teléfono")
    assert (await ana.read(contact_of(contact.uid))).list_ver == 2


async def test_two_lists_of_one_version_are_a_fork(stage: Stage) -> None:
    """Somebody with the identity's keys signs two: the second is refused, whoever shows it."""
    ana, bruno = await stage.pair()
    impostor = Impostor.first(bruno.uid, "bruno")
    other = Impostor(
        impostor.identity,
        (device := DeviceKeys.create(bruno.uid)),
        impostor.identity.first_list("bruno", device.card(impostor.identity.idfp, now_ms()), now_ms()),
    )
    first = verify_device_list(impostor.signed, impostor.identity.record, uid=bruno.uid)
    with pytest.raises(DeviceListError):
        verify_device_list(other.signed, impostor.identity.record, uid=bruno.uid, pinned=first.pin)
    record, signed, _ = await known_list(ana, bruno.uid)
    # The server shows a list of the pinned version that differs: whoever signed it, it is a fork.
    stage.evil.rule = ServeKeys(bruno.uid, keys_of(bruno.uid, other.identity.record, other.signed))
    with pytest.raises(SecurityError):
        await ana.client._engine.directory.refresh(Uid(bruno.uid))
    await ana.warned("list_forked")
    assert (await known_list(ana, bruno.uid))[:2] == (record, signed)


@pytest.mark.parametrize("part", ["identity", "body", "sig"])
async def test_one_changed_bit_in_served_keys_is_refused(stage: Stage, part: str) -> None:
    ana, bruno = await stage.pair()
    record, signed, _ = await known_list(ana, bruno.uid)
    lies = {"identity": record, "body": signed.body, "sig": signed.sig}
    for offset in (40, 700, 1500):
        changed = {**lies, part: flipped(lies[part], offset)}
        stage.evil.rule = ServeKeys(
            bruno.uid, keys_of(bruno.uid, changed["identity"], Signed(changed["body"], changed["sig"]))
        )
        with pytest.raises(SecurityError):
            await ana.client._engine.directory.refresh(Uid(bruno.uid))
    assert (await known_list(ana, bruno.uid))[:2] == (record, signed)
    stage.evil.rule = Rule()
    await ana.send(stage.chat_id, "sigue igual")
    await bruno.shows(stage.chat_id, "ana: sigue igual")


async def swap_identity(stage: Stage, ana: Actor, bruno: Actor) -> Impostor:
    impostor = Impostor.instead_of(list_known(await ana.read(contact_of(bruno.uid))))
    stage.evil.rule = ServeKeys(bruno.uid, keys_of(bruno.uid, impostor.identity.record, impostor.signed), only=ana.uid)
    await stage.evil.tell(ana.uid, ListChanged(bruno.uid, 2))
    await ana.until(lambda: any(isinstance(event, IdentityChanged) for event in ana.events), "identity changed")
    return impostor


async def test_identity_swap_of_a_contact_is_shown(stage: Stage) -> None:
    """Not verified: trust on first use cannot prevent it, but it is never silent."""
    ana, bruno = await stage.pair()
    await swap_identity(stage, ana, bruno)
    assert await ana.places(stage.chat_id) == [Cause.IDENTITY_CHANGED]
    [chat] = await ana.client.chats()
    assert chat.identity_changed
    assert peer_of(chat).trust is Trust.CHANGED


async def test_identity_swap_of_a_verified_contact_blocks_sending(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    await ana.change(lambda tx: tx.contacts.set_trust(Uid(bruno.uid), Trust.VERIFIED))
    impostor = await swap_identity(stage, ana, bruno)
    before = stage.evil.seen.written_to(ana.uid)
    with pytest.raises(SendBlockedError):
        await ana.send(stage.chat_id, "solo para el bruno de verdad")
    await asyncio.sleep(0.2)
    assert impostor.device.did not in before | stage.evil.seen.written_to(ana.uid)


async def test_a_message_queued_before_a_swap_of_a_verified_contact_is_not_sealed_for_the_new_key(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    await ana.change(lambda tx: tx.contacts.set_trust(Uid(bruno.uid), Trust.VERIFIED))
    stage.evil.rule = rule = SwapAtTheNextLookup(bruno.uid, list_known(await ana.read(contact_of(bruno.uid))))
    await stage.evil.tell(ana.uid, ListChanged(bruno.uid, 2))
    sent = await ana.send(stage.chat_id, "en cola", wait=False)
    await ana.until(lambda: any(isinstance(event, IdentityChanged) for event in ana.events), "identity changed")
    await asyncio.sleep(0.2)
    assert rule.impostor.device.did not in stage.evil.seen.written_to(ana.uid)
    message = next(one for one in await ana.timeline(stage.chat_id) if one.mid == sent)
    assert message.state in {MessageState.QUEUED, MessageState.SENT}


class SwapAtTheNextLookup(ServeKeys):
    """As `swap_identity`, with the impostor made beforehand."""

    def __init__(self, uid: bytes, current: object) -> None:
        self.impostor = Impostor.instead_of(current)  # type: ignore[arg-type]
        super().__init__(uid, keys_of(uid, self.impostor.identity.record, self.impostor.signed))


async def test_first_contact_with_another_persons_keys_is_refused(stage: Stage) -> None:
    """Asked for "bruno", the server answers with keys whose own signed list says another name."""
    ana = await stage.open("ana")
    eve = Impostor.first(fresh_identity(b"e" * 16).uid, "eve")
    stage.evil.rule = ServeKeys(
        eve.identity.uid, keys_of(eve.identity.uid, eve.identity.record, eve.signed), handle="carla"
    )
    with pytest.raises(SecurityError):
        await ana.client.direct_chat("carla")
    assert [peer_of(chat).handle for chat in await ana.client.chats()] == ["bruno"]


async def test_keys_of_somebody_else_under_a_known_uid_are_refused(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    eve = Impostor.first(b"e" * 16, "bruno")
    stage.evil.rule = ServeKeys(bruno.uid, keys_of(b"e" * 16, eve.identity.record, eve.signed))
    with pytest.raises(SecurityError):
        await ana.client._engine.directory.refresh(Uid(bruno.uid))
    await ana.warned("identity_swapped")


async def test_copied_device_key_cannot_be_listed_by_another_person(stage: Stage) -> None:
    """Unknown key share: Eve lists Ana's keys as her own; the possession proof names Ana's identity, not Eve's."""
    ana = await stage.open("ana")
    _, _, hers = await known_list(ana, ana.uid)
    eve = fresh_identity(b"e" * 16)
    stolen = hers.devices[0]
    body = encode(
        DeviceList(
            uid=b"e" * 16,
            handle="eve",
            idfp=eve.idfp,
            ver=1,
            prev=bytes(32),
            ts=now_ms(),
            devices=(stolen,),
            backup_ver=1,
        )
    )
    signed = Signed(body, eve.sign(Ctx.DEVICE_LIST, body))
    stage.evil.rule = ServeKeys(b"e" * 16, keys_of(b"e" * 16, eve.record, signed), handle="eve")
    with pytest.raises(SecurityError) as refused:
        await ana.client.direct_chat("eve")
    assert refused.value.code == "list_invalid"


async def test_announced_lists_that_do_not_exist_do_not_make_a_loop(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    for uid, ver in ((bruno.uid, (1 << 63) - 1), (b"x" * 16, 5), (ana.uid, 1)):
        await stage.evil.tell(ana.uid, ListChanged(uid, ver))
    before = len(stage.evil.seen.rest)
    await asyncio.sleep(0.5)
    assert len(stage.evil.seen.rest) - before < 10
    await bruno.send(stage.chat_id, "llega")
    await ana.shows(stage.chat_id, "bruno: llega")


async def test_a_new_device_gets_keys_only_after_its_list_was_verified(phone_stage: Stage) -> None:
    """The honest case of the same path, so that the attacks above do not pass for a wrong reason."""
    stage = phone_stage
    ana, phone = await stage.open("ana"), await stage.open("phone")
    await ana.send(stage.chat_id, "a todos")
    await phone.shows(stage.chat_id, "ana: a todos")
    assert phone.client._context.me.did in stage.evil.seen.written_to(ana.uid)


async def test_a_list_that_changed_while_one_was_away_is_fetched_before_the_first_message(phone_stage: Stage) -> None:
    """The server announces nothing, and Bruno's new device is not there to ask."""
    stage = phone_stage
    ana = await stage.open("ana")
    await ana.send(stage.chat_id, "a quien corresponda")
    with stage.evil.database() as db:
        dids = {
            did
            for (did,) in db.execute(
                "SELECT did FROM device JOIN account ON account.id = account_id WHERE handle = 'bruno'"
            )
        }
    assert len(dids & stage.evil.seen.written_to(ana.uid)) == 1
