"""Who may have a session whose identity changed, or who came anew; the least of it, and what is asked in between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from mensajeria.client.api import HistoryChoice, Trust
from mensajeria.client.core.ladder import ASKED_AT_ONCE, window
from mensajeria.client.engine.acks import acknowledge
from mensajeria.client.engine.envelopes import Mail
from mensajeria.client.engine.healing import ANSWERS_PER_HOUR, FORWARDED, WITHHELD
from mensajeria.client.engine.letters import ROOM_KEY, Letter
from mensajeria.client.engine.membership import Chain
from mensajeria.client.store import Tx
from mensajeria.client.store.key_values import InboundKey, KeyRequestRow, Share, ShareOutcome
from mensajeria.crypto.inbound import InboundSession
from mensajeria.crypto.message import decode_outer
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.frames import EventKind
from mensajeria.protocol.ids import Did, Mid, SessionId, Uid
from mensajeria.protocol.membership import MembershipState, start_direct
from mensajeria.protocol.membership_state import Role, Row, direct_chat_id
from mensajeria.protocol.records import KeyRequest
from mensajeria.protocol.records_healing import ForwardedKey
from tests.client.engine.healing_scene import Scene, ask, forwarded_from, made, session_of, written
from tests.client.engine.newcomers import circle
from tests.client.engine.stations import Station
from tests.crypto.people import NOW, SERVER, Person

ANA, DORA = b"a" * 16, b"d" * 16


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with made(tmp_path) as everybody:
        yield everybody


# --- the same person


def state(seq: int, idfp: bytes | None) -> MembershipState:
    """Dora under this identity, or not there."""
    chat_id = direct_chat_id(SERVER, ANA, DORA)
    rows = {ANA: Row(ANA, b"A", Role.OWNER)} | ({} if idfp is None else {DORA: Row(DORA, idfp, Role.MEMBER)})
    return replace(start_direct(chat_id, SERVER, ANA, DORA), seq=seq, members=rows)


@pytest.mark.parametrize(
    ("identities", "same"),
    [
        ([b"1", b"1"], True),
        ([b"1", b"2"], True),
        ([b"1", None, b"1"], True),
        ([b"1", None, b"2"], False),
        ([None, b"1"], False),
        ([b"1", None], False),
    ],
    ids=["nothing changed", "moved", "came back", "came back as another one", "came later", "is gone"],
)
def test_who_was_added_anew_under_another_identity_may_be_somebody_else(
    identities: list[bytes | None], *, same: bool
) -> None:
    states = [state(seq, idfp) for seq, idfp in enumerate(identities, 3)]
    chain = Chain(states, [0] * len(states))
    assert chain.is_same_person(3, DORA) is same


def test_of_a_time_that_is_not_known_nobody_is_the_same_person() -> None:
    assert not Chain([state(3, b"1")], [0]).is_same_person(2, DORA)


async def types(holder: Station, scene: Scene, row: bytes) -> list[str]:
    return [one.type for one in await ask(holder, scene.bruno.address, session_of(row), scene.chat)]


async def both_have(scene: Scene, *texts: str) -> list[bytes]:
    """Ana's laptop has written, and her phone has the session."""
    rows, keys = await written(scene, *texts)
    await scene.ana_phone.take(scene.ana, keys[scene.ana_phone.me.did])
    return rows


async def test_somebody_else_gets_nothing_of_what_another_device_wrote(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    (row,) = await both_have(scene, "hola")
    assert await types(scene.ana_phone, scene, row) == [FORWARDED]
    monkeypatch.setattr(Chain, "is_same_person", lambda *_: False)
    assert await types(scene.ana_phone, scene, row) == [WITHHELD]


@pytest.mark.parametrize("forgotten", [True, False])
async def test_rows_are_given_again_of_own_sessions_only(scene: Scene, *, forgotten: bool) -> None:
    (row,) = await both_have(scene, "hola")
    bruno, session_id = scene.bruno.address, session_of(row)
    for holder, may in ((scene.ana, True), (scene.ana_phone, False)):
        if forgotten:
            holder.memberships.forget()
        found = await holder.do(lambda tx, _: holder.healer.may_have(tx, *bruno, scene.chat, session_id, 0))  # noqa: B023
        assert found is may


async def test_what_somebody_is_entitled_to_does_not_depend_on_what_is_in_memory(scene: Scene) -> None:
    (row,) = await both_have(scene, "hola")
    bruno, ana = scene.bruno.address, scene.ana

    def entitled(tx: Tx, _: Mail) -> int | None:
        (stored,) = tx.inbound.find(scene.chat, session_of(row))
        ana.memberships.forget()
        return ana.healer._entitled_from(tx, *bruno, InboundSession.load(stored.state).binding)

    assert await ana.do(entitled) == 0


# --- an identity that nothing proves


async def changed(desk: Station, scene: Scene, *shares: tuple[Did, int]) -> None:
    """Bruno's identity has changed and was not accepted; this was given to his devices before."""

    def step(tx: Tx) -> None:
        tx.contacts.set_trust(scene.bruno.me.uid, Trust.CHANGED, sending_blocked=False)
        outbound = tx.outbound.get(scene.chat)
        assert outbound is not None
        for did, idx in shares:
            tx.outbound.put_share(outbound.session_id, Share(scene.bruno.me.uid, did, idx, ShareOutcome.SHARED, NOW))

    await desk.store.run(step)


async def asked(scene: Scene, row: bytes) -> Letter:
    (letter,) = await ask(scene.ana, scene.bruno.address, session_of(row), scene.chat)
    return letter


async def test_it_gets_again_what_was_sent_to_it_and_from_there_on(scene: Scene) -> None:
    row, _ = await both_have(scene, "uno", "dos")
    await changed(scene.ana, scene, (scene.bruno.me.did, 1))
    letter = await asked(scene, row)
    assert decode_record(ForwardedKey, letter.content).first_index == 1
    await changed(scene.ana, scene, (scene.bruno.me.did, 0))
    assert (await asked(scene, row)).type == ROOM_KEY


async def test_what_went_to_another_device_is_not_its_own(scene: Scene) -> None:
    row, _ = await both_have(scene, "uno", "dos")

    def forget(tx: Tx) -> None:
        tx.outbound._db.execute("DELETE FROM shares WHERE did = ?", scene.bruno.me.did)

    await scene.ana.store.run(forget)
    await changed(scene.ana, scene)
    assert (await asked(scene, row)).type == WITHHELD


async def test_of_another_device_s_session_it_gets_nothing(scene: Scene) -> None:
    (row,) = await both_have(scene, "hola")
    await scene.ana_phone.store.run(
        lambda tx: tx.contacts.set_trust(scene.bruno.me.uid, Trust.CHANGED, sending_blocked=False)
    )
    assert await types(scene.ana_phone, scene, row) == [WITHHELD]


# --- who was added while a message was on its way


async def test_what_was_sent_before_one_heard_that_somebody_was_added_is_theirs_from_there_on(tmp_path: Path) -> None:
    people = Person("ana"), Person("bruno"), Person("dora")
    async with circle(people, tmp_path, bruno="admin") as group:
        ana = group.ana

        async def send(text: str) -> bytes:
            (row,), _ = await ana.at.write(group.chat_id, text)
            seq, mid = group.put(EventKind.MESSAGE, row).seq, Mid(decode_outer(row).mid)
            await ana.at.do(lambda tx, out: acknowledge(tx, out, ana.at.me, group.chat_id, mid, seq, NOW))
            return row

        row = await send("antes")
        await group.add_dora(HistoryChoice.NOTHING, by=group.bruno)
        await send("a la vez")
        await group.read(ana)
        ana.at.memberships.forget()
        question = KeyRequest(
            chat_id=group.chat_id, session_id=session_of(row), uid=ana.at.me.uid, did=ana.at.me.did, index=0
        )
        (letter,) = await ana.at.do(lambda tx, _: ana.at.healer.answer(tx, *group.dora.at.address, question))
        assert decode_record(ForwardedKey, letter.content).first_index == 1


# --- what is handed over


async def test_the_signed_key_says_of_which_session_it_is(scene: Scene) -> None:
    (row,) = await both_have(scene, "hola")
    letter = await asked(scene, row)
    me, session_id = scene.bruno.me, session_of(row)
    assert letter == Letter(me.uid, me.did, ROOM_KEY, letter.content, session_id)


async def test_of_a_key_that_has_opened_something_only_what_follows_is_handed_on(scene: Scene) -> None:
    rows = await both_have(scene, "uno", "dos")
    bruno, phone, session_id = scene.bruno, scene.bruno_phone, session_of(rows[0])
    key = await forwarded_from(scene.ana_phone, bruno, scene.chat, session_id)

    def keep(tx: Tx, out: Mail) -> None:
        verified = bruno.reader.binding_of(tx, out, key.skb)
        assert verified is not None
        bruno.reader.keep(tx, out, verified, InboundSession.from_export(key.export, verified, key.skb), None)

    await bruno.do(keep)
    await bruno.read(scene.chat, 2, rows[1:])
    (letter,) = await ask(bruno, phone.address, session_id, scene.chat)
    assert decode_record(ForwardedKey, letter.content).first_index == 1


async def test_own_devices_ask_as_often_as_they_need(scene: Scene) -> None:
    (row,) = await both_have(scene, "hola")
    phone = scene.ana_phone.address
    for _ in range(ANSWERS_PER_HOUR + 1):
        assert await ask(scene.ana, phone, session_of(row), scene.chat)


# --- asking


async def test_after_a_restart_the_members_are_asked_as_before(scene: Scene) -> None:
    (row,) = await both_have(scene, "hola")
    phone = scene.bruno_phone
    await phone.read(scene.chat, 1, [row])
    phone.memberships.forget()
    assert len(await due_letters(phone)) == 3


async def due_letters(desk: Station) -> list[Letter]:
    return await desk.do(lambda tx, _: [one for row in tx.requests.all() for one in desk.healer.questions(tx, row)])


async def test_of_many_devices_others_are_asked_on_each_step(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    healer, key = scene.bruno.healer, InboundKey(scene.chat, SessionId(bytes(32)), scene.ana.me.uid, scene.ana.me.did)
    many = [(scene.ana.me.uid, Did(bytes([n]) * 16)) for n in range(3 * ASKED_AT_ONCE)]
    monkeypatch.setattr(healer, "_whom", lambda *_: ([], many))

    def asked_on(step: int) -> list[tuple[Uid, Did]]:
        return healer._sources(cast("Tx", None), KeyRequestRow(key, 0, step, NOW, NOW))

    assert asked_on(1) == window(many, key.session_id, 1)
    assert not set(asked_on(0)) & set(asked_on(1))
