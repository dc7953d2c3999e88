"""Groups without a server: keys for everybody who is in, names, forks, what comes late, what is left out."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from mensajeria.client.api import Cause, MessageKind, MessageState, SecurityWarning
from mensajeria.client.engine.acks import read_by_member
from mensajeria.client.engine.kinds import own
from mensajeria.client.engine.log_gaps import pass_over
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.people import Served, new_contact
from mensajeria.client.engine.sealing import Plan
from mensajeria.client.store import Tx
from mensajeria.client.store.contacts import NOBODY
from mensajeria.client.store.values import Halt, NewMessage
from mensajeria.crypto.device import DeviceKeys
from mensajeria.crypto.message import TEXT, Draft, seal_message, text_body
from mensajeria.crypto.recovery import RecoveryCode
from mensajeria.crypto.root import AccountRoot
from mensajeria.crypto.sender import OutboundSession
from mensajeria.protocol import limits
from mensajeria.protocol.devices import verify_device_list
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.errors import Code
from mensajeria.protocol.frames import Event, EventKind
from mensajeria.protocol.ids import Idfp, Mid, Uid
from tests.client.engine.circle import GroupDesk, Log, member, seated, show, signed_in
from tests.client.engine.test_rows_and_sealing import bodies, give_key, write
from tests.client.engine.trio import Desks, desks, log, plan, texts, trio
from tests.client.engine.world import NOW, Somebody

__all__ = ["desks", "log", "trio"]


async def places(desk: GroupDesk, log: Log) -> list[Cause]:
    page = await desk.store.read(lambda tx: tx.messages.page(log.chat_id))
    return [message.cause for message in page.messages if message.cause is not None]


async def test_a_key_goes_to_every_device_of_every_member(desks: Desks, log: Log) -> None:
    ana, bruno, carla = desks
    found = await plan(ana, log, "hola")
    assert {letter.did for letter in found.letters} == {bruno.me.did, carla.me.did}
    assert not found.ready


async def test_a_member_of_another_identity_is_left_out_once_and_told(desks: Desks, log: Log) -> None:
    ana, bruno, carla = desks
    other = replace(carla.who.contact, idfp=Idfp(os.urandom(32)))
    await ana.store.run(lambda tx: tx.contacts.put(other))
    items, keys = await write(ana, log.chat_id, "uno")
    assert len(keys) == 1
    await write(ana, log.chat_id, "dos")
    assert len(items) == 1
    assert await places(ana, log) == [Cause.MEMBER_SKIPPED]
    shares = await ana.store.read(lambda tx: tx.outbound.shares(items[0].sealed.session_id))  # type: ignore[union-attr]
    assert set(shares) == {bruno.me.did}


async def test_a_member_whose_list_cannot_be_had_keeps_nobody_waiting(desks: Desks, log: Log) -> None:
    ana, bruno, carla = desks
    await ana.store.run(lambda tx: tx.contacts.announce(carla.me.uid, 9))
    assert (await plan(ana, log, "uno")).lists == (carla.me.uid,)
    found = await plan(ana, log, unusable=frozenset({carla.me.uid}))
    assert {letter.did for letter in found.letters} == {bruno.me.did}


async def test_a_removal_changes_the_session_and_whom_it_goes_to(desks: Desks, log: Log) -> None:
    ana, bruno, carla = desks
    before, _ = await write(bruno, log.chat_id, "antes")
    row = log.put(log.next(ana.who, "remove", who=carla.who.uid))
    await show(bruno, row)
    found = await plan(bruno, log, "después")
    assert {letter.did for letter in found.letters} == {ana.me.did}
    assert {letter.session_id for letter in found.letters} != {item.sealed.session_id for item in before if item.sealed}
    assert await places(bruno, log) == [Cause.MEMBER_REMOVED]


async def test_what_a_removed_member_had_queued_fails_and_says_why(desks: Desks, log: Log) -> None:
    ana, _, carla = desks
    await plan(carla, log, "ya no")
    await show(carla, log.put(log.next(ana.who, "remove", who=carla.who.uid)))
    found = await plan(carla, log)
    assert found == Plan()
    page = await carla.store.read(lambda tx: tx.messages.page(log.chat_id))
    assert [(m.state, m.error) for m in page.messages if m.outgoing] == [(MessageState.FAILED, Code.UNKNOWN_CHAT)]


async def test_everybody_reads_what_one_writes(desks: Desks, log: Log) -> None:
    ana, *others = desks
    items, keys = await write(ana, log.chat_id, "a todos")
    row = log.row(EventKind.MESSAGE, bodies(items)[0])
    for desk in others:
        await give_key(desk, ana, keys[0])
        await show(desk, row)
        page = await desk.store.read(lambda tx: tx.messages.page(log.chat_id))
        assert [(m.sender.handle, m.text) for m in page.messages] == [("ana", "a todos")]


async def test_what_cannot_be_read_names_nobody(desks: Desks, log: Log) -> None:
    ana, bruno, _ = desks
    items, _ = await write(ana, log.chat_id, "sin clave")
    await show(bruno, log.row(EventKind.MESSAGE, bodies(items)[0]))
    page = await bruno.store.read(lambda tx: tx.messages.page(log.chat_id))
    assert [(m.cause, m.sender.uid, m.sender.handle) for m in page.messages] == [(Cause.WAITING, NOBODY, "")]


async def test_a_message_that_a_removal_overtook_is_folded_and_not_counted(desks: Desks, log: Log) -> None:
    ana, bruno, carla = desks
    items, keys = await write(carla, log.chat_id, "por fin", "me voy")
    early = log.row(EventKind.MESSAGE, bodies(items)[0])
    cut = log.put(log.next(ana.who, "remove", who=carla.who.uid))
    late = log.row(EventKind.MESSAGE, bodies(items)[1])
    await give_key(bruno, carla, keys[0])
    await show(bruno, early, cut, late)
    page = await bruno.store.read(lambda tx: tx.messages.page(log.chat_id))
    assert [(m.text, m.late) for m in page.messages if m.kind is MessageKind.TEXT] == [
        ("por fin", False), ("me voy", True),
    ]  # fmt: skip
    chat = await bruno.store.read(lambda tx: tx.chats.get(log.chat_id))
    assert chat is not None
    assert chat.unread == 1


async def test_a_message_under_a_head_that_is_not_known_waits_and_the_events_are_asked_for(
    desks: Desks, log: Log
) -> None:
    ana, bruno, _ = desks
    renamed = log.put(log.next(ana.who, "timer", timer_s=3600))
    await show(ana, renamed)
    items, keys = await write(ana, log.chat_id, "con reloj")
    await give_key(bruno, ana, keys[0])
    row = log.row(EventKind.MESSAGE, bodies(items)[0])
    out = await show(bruno, row)
    assert out.wanted_chains == {log.chat_id}

    def learn(tx: Tx, out: Outcome) -> None:
        bruno.rows.members.learn(tx, out, log.chat_id, signed_in(renamed), renamed.seq)
        bruno.rows.reopen_held(tx, out, log.chat_id)

    await bruno.do(learn)
    page = await bruno.store.read(lambda tx: tx.messages.page(log.chat_id))
    assert [m.text for m in page.messages] == ["con reloj"]


async def test_an_event_of_somebody_unknown_waits_for_their_list(
    trio: tuple[Somebody, Somebody, Somebody], tmp_path: Path
) -> None:
    ana, bruno, carla = trio
    log = Log.create(ana, bruno, carla, roles={"carla": "admin"})
    async with seated(bruno, [ana], log, tmp_path) as desk:
        row = log.put(log.next(carla, "timer", timer_s=60))
        out = await show(desk, row)
        assert carla.uid in out.wanted_lists
        assert await places(desk, log) == []

        def meet(tx: Tx, out: Outcome) -> None:
            tx.contacts.put(carla.contact)
            desk.rows.reopen_held(tx, out, log.chat_id)

        await desk.do(meet)
        assert await places(desk, log) == [Cause.TIMER_CHANGED]


async def test_a_backdated_event_of_a_cut_off_device_has_no_effect(
    trio: tuple[Somebody, Somebody, Somebody], tmp_path: Path
) -> None:
    """The floor that a `device` event sets holds for whatever its author's old device signs under an older list."""
    _, bruno, eva = trio
    uid = os.urandom(16)
    identity, old, new = AccountRoot.generate().identity(uid, RecoveryCode.generate().public), *_two_devices(uid)
    lists = [identity.first_list("dora", old.card(identity.idfp, NOW), NOW)]
    known = verify_device_list(lists[0], identity.record, uid=uid)
    dora = Somebody("dora", old, new_contact(known, Served(uid, identity.record, lists[0]), NOW))
    lists.append(identity.add_device(known, new.card(identity.idfp, NOW), NOW))
    lists.append(identity.remove_device(verify_device_list(lists[1], identity.record, uid=uid), old.did, NOW))
    newest = verify_device_list(lists[2], identity.record, uid=uid)
    contact = new_contact(newest, Served(uid, identity.record, lists[2]), NOW)
    log = Log.create(dora, bruno)
    async with seated(bruno, [replace(dora, contact=contact)], log, tmp_path) as desk:
        await show(desk, log.put(log.next(replace(dora, device=new), "device", who=uid, dl_ver=3)))
        backdated = log.next(dora, "add", members=(member(eva),), dl_ver=1)
        await show(desk, log.row(EventKind.MEMBER, encode(backdated)))
        members = await desk.store.read(lambda tx: desk.memberships.members(tx, log.chat_id))
        assert set(members) == {Uid(uid), bruno.uid}


def _two_devices(uid: bytes) -> tuple[DeviceKeys, DeviceKeys]:
    return DeviceKeys.create(uid), DeviceKeys.create(uid)


async def test_a_fork_halts_the_group_and_keeps_both_events(desks: Desks, log: Log) -> None:
    ana, bruno, carla = desks
    twin = log.next(ana.who, "remove", who=carla.who.uid)
    first = log.put(log.next(ana.who, "timer", timer_s=60))
    await show(bruno, first)
    out = await show(bruno, log.row(EventKind.MEMBER, encode(twin)))
    assert [event.code for event in out.events if isinstance(event, SecurityWarning)] == ["group_forked"]
    group, forks = await bruno.store.read(lambda tx: (tx.groups.get(log.chat_id), tx.groups.forks(log.chat_id)))
    assert group is not None
    assert (group.halted, forks) == (Halt.FORKED, ((first.body, encode(twin)),))
    again = await show(bruno, log.row(EventKind.MEMBER, encode(twin)))
    assert not [event for event in again.events if isinstance(event, SecurityWarning)]
    assert await plan(bruno, log, "no sale") == Plan()


async def test_a_chain_is_rebuilt_from_the_store_even_if_a_signer_has_another_identity_now(
    desks: Desks, log: Log
) -> None:
    ana, bruno, _ = desks
    await show(bruno, log.put(log.next(ana.who, "timer", timer_s=60)))
    before = await bruno.store.read(lambda tx: bruno.memberships.of(tx, log.chat_id).now.head)
    await bruno.store.run(lambda tx: tx.contacts.put(replace(ana.who.contact, idfp=Idfp(os.urandom(32)))))
    bruno.memberships.forget()
    assert await bruno.store.read(lambda tx: bruno.memberships.of(tx, log.chat_id).now.head) == before


# --- receipts


async def test_a_message_is_read_when_everybody_has_read_it(desks: Desks, log: Log) -> None:
    ana, bruno, carla = desks
    mid = Mid(os.urandom(16))

    def write_one(tx: Tx, _: Outcome) -> None:
        tx.messages.add(
            NewMessage(log.chat_id, mid, ana.me.uid, True, MessageKind.TEXT, MessageState.SENT, NOW, seq=2, text="?")
        )

    await ana.do(write_one)

    async def state_after(uid: Uid, seq: int) -> MessageState:
        await ana.do(lambda tx, out: read_by_member(tx, out, ana.me, log.chat_id, uid, seq))
        found = await ana.store.read(lambda tx: tx.messages.find(log.chat_id, mid))
        assert found is not None
        return found.state

    assert await state_after(bruno.me.uid, 2) is MessageState.SENT
    assert await state_after(Uid(os.urandom(16)), 9) is MessageState.SENT
    assert await state_after(carla.me.uid, 1) is MessageState.SENT
    assert await state_after(carla.me.uid, 3) is MessageState.READ


async def test_in_a_large_group_nobody_is_told_how_far_it_was_delivered(
    desks: Desks, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = desks[0]

    async def shown(up_to: int) -> bool:
        monkeypatch.setattr(limits, "READ_RECEIPTS_MEMBERS", up_to)
        return await ana.store.read(lambda tx: ana.memberships.shows_delivered(tx, log.chat_id))

    assert await shown(3)
    assert not await shown(2)


async def test_a_message_under_a_session_from_before_a_removal_is_told(desks: Desks, log: Log) -> None:
    """A program that forgets to begin a new session: whom it has removed could still read this."""
    ana, bruno, carla = desks
    before, keys = await write(bruno, log.chat_id, "antes")
    await give_key(ana, bruno, keys[0])
    rows = [log.row(EventKind.MESSAGE, bodies(before)[0]), log.put(log.next(ana.who, "remove", who=carla.who.uid))]
    out = await show(ana, *rows)
    assert warned(out) == []
    await show(bruno, *rows)

    def go_on_with_the_old_session(tx: Tx) -> bytes:
        stored = tx.outbound.get(log.chat_id)
        assert stored is not None
        chain = bruno.memberships.of(tx, log.chat_id).now
        draft = Draft(type=TEXT, mid=os.urandom(16), body=text_body("¿rotado?"), head=chain.head)
        return seal_message(OutboundSession.load(stored.state), draft, now_ms=NOW, epoch=chain.epoch).outer

    row = log.row(EventKind.MESSAGE, await bruno.store.run(go_on_with_the_old_session))
    assert warned(await show(ana, row)) == ["not_rotated"]
    page = await ana.store.read(lambda tx: tx.messages.page(log.chat_id))
    assert [m.text for m in page.messages if m.text] == ["antes", "¿rotado?"]


def warned(out: Outcome) -> list[str]:
    return [event.code for event in out.events if isinstance(event, SecurityWarning)]


async def test_nothing_leaves_before_the_group_was_accepted(desks: Desks, log: Log) -> None:
    """Whoever writes into a group accepts it; until then no member gets a key, though there are some who lack one."""
    _, bruno, _ = desks
    await bruno.store.run(lambda tx: tx.chats.set_accepted(log.chat_id, accepted=False))
    assert await bruno.store.run(lambda tx: bruno.sealer.introduce(tx, log.chat_id)) == ((), ())
    await bruno.store.run(lambda tx: tx.chats.set_accepted(log.chat_id, accepted=True))
    _, letters = await bruno.store.run(lambda tx: bruno.sealer.introduce(tx, log.chat_id))
    assert len(letters) == 2


async def test_a_change_that_its_authors_removal_overtook_has_no_effect(desks: Desks, log: Log) -> None:
    ana, bruno, carla = desks
    items, keys = await write(carla, log.chat_id, "lo que dije")
    said = log.row(EventKind.MESSAGE, bodies(items)[0])
    await show(carla, said)
    mid = items[0].mid

    def edit(tx: Tx, out: Outcome) -> bytes:
        own.edit(tx, out, carla.me, log.chat_id, mid, "lo que nunca dije")
        sealed = [item.sealed for item in carla.sealer.plan(tx, out, log.chat_id, 10).ready if item.sealed is not None]
        return sealed[-1].outer

    edited = await carla.do(edit)
    cut = log.put(log.next(ana.who, "remove", who=carla.who.uid))
    late = log.row(EventKind.MESSAGE, edited)
    for desk, rows in ((bruno, [said, cut, late]), (ana, [said, replace_seq(late, 2), replace_seq(cut, 3)])):
        await give_key(desk, carla, keys[0])
        await show(desk, *rows)
    assert await texts(bruno, log) == ["lo que dije"]
    assert await texts(ana, log) == ["lo que nunca dije"], "in time it would have had an effect"


async def test_a_row_that_comes_late_of_somebody_removed_since_is_folded(desks: Desks, log: Log) -> None:
    """The log had not shown it when the cursor went past: whether it was written in time, nobody can tell."""
    ana, bruno, carla = desks
    items, keys = await write(carla, log.chat_id, "¿a tiempo?")
    said = log.row(EventKind.MESSAGE, bodies(items)[0])
    cut = log.put(log.next(ana.who, "remove", who=carla.who.uid))
    await give_key(bruno, carla, keys[0])
    await bruno.do(lambda tx, out: pass_over(tx, out, bruno.me, log.chat_id, said.seq, said.seq))
    await show(bruno, cut)
    assert await places(bruno, log) == [Cause.MISSING, Cause.MEMBER_REMOVED]
    for _ in range(2):  # once: the second time it is here
        await bruno.do(lambda tx, out: bruno.rows.apply_passed(tx, out, log.chat_id, [said]))
    page = await bruno.store.read(lambda tx: tx.messages.page(log.chat_id))
    assert [(m.text, m.late, m.cause) for m in page.messages] == [
        ("¿a tiempo?", True, None),
        ("", False, Cause.MEMBER_REMOVED),
    ]


async def test_a_row_that_nobody_went_past_is_not_taken_as_one_of_a_gap(desks: Desks, log: Log) -> None:
    ana, bruno, _ = desks
    items, keys = await write(ana, log.chat_id, "uno")
    said = log.row(EventKind.MESSAGE, bodies(items)[0])
    await give_key(bruno, ana, keys[0])
    await bruno.do(lambda tx, out: bruno.rows.apply_passed(tx, out, log.chat_id, [said]))
    assert await texts(bruno, log) == []
    await show(bruno, said)
    assert await texts(bruno, log) == ["uno"]


async def test_what_was_said_between_a_removal_and_coming_back_is_from_before_one_joined(
    desks: Desks, log: Log
) -> None:
    ana, _, carla = desks
    cut = log.put(log.next(ana.who, "remove", who=carla.who.uid))
    await show(ana, cut)
    items, _ = await write(ana, log.chat_id, "sin carla")
    meanwhile = log.row(EventKind.MESSAGE, bodies(items)[0])
    back = log.put(log.next(ana.who, "add", members=(member(carla.who),)))
    await show(carla, cut, meanwhile, back)
    assert Cause.BEFORE_JOINED in await places(carla, log)
    assert Cause.WAITING not in await places(carla, log)


def replace_seq(row: Event, seq: int) -> Event:
    return msgspec.structs.replace(row, seq=seq)
