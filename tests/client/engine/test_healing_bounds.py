"""Who may have a session whose identity changed, or who came anew; the least of it, and what is asked in between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from mensajeria.client.api import Trust
from mensajeria.client.engine.healing import FORWARDED, WITHHELD
from mensajeria.client.engine.letters import ROOM_KEY, Letter
from mensajeria.client.engine.membership import Chain
from mensajeria.client.store import Tx
from mensajeria.client.store.values import Share, ShareOutcome
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.ids import Did
from mensajeria.protocol.membership import MembershipState, start_direct
from mensajeria.protocol.membership_state import Role, Row, direct_chat_id
from mensajeria.protocol.records_healing import ForwardedKey
from tests.client.engine.stations import Station
from tests.client.engine.test_healing import Scene, ask, made, session_of, written
from tests.crypto.people import NOW, SERVER

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
