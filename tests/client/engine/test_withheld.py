"""Keys that members were left out of: who gets them later, from where, and who does not."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from mensajeria.client.engine.letters import ROOM_KEY, Letter
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.trust import accept_identity
from mensajeria.client.engine.withheld import kept_key
from mensajeria.client.store import Tx
from mensajeria.crypto.group_profile import new_profile_key
from mensajeria.crypto.sender import decode_room_key
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.ids import Idfp, SessionId, Uid
from tests.client.engine.circle import GroupDesk, Log
from tests.client.engine.test_rows_and_sealing import write
from tests.client.engine.trio import Desks, blocked, desks, due, log, trio

__all__ = ["desks", "log", "trio"]


async def names(desk: GroupDesk) -> tuple[str, ...]:
    return await desk.store.read(lambda tx: tx.own.names("withheld:"))


async def left_out(desks: Desks, log: Log, *, both: bool = False) -> SessionId:
    """Carla, or Bruno too, gets no key of a session from its second message on; the session."""
    ana, bruno, carla = desks
    await write(ana, log.chat_id, "cero")
    await ana.store.run(lambda tx: tx.outbound._db.execute("DELETE FROM shares"))
    for one in (carla, bruno) if both else (carla,):
        await blocked(ana, one, yes=True)
    items, _ = await write(ana, log.chat_id, "uno")
    assert items[0].sealed is not None
    return items[0].sealed.session_id


async def test_the_letter_brings_the_key_of_that_index(desks: Desks, log: Log) -> None:
    ana, _, carla = desks
    session = await left_out(desks, log)
    kept = await ana.store.read(lambda tx: kept_key(tx, log.chat_id, session, carla.me.uid))
    assert kept is not None
    await blocked(ana, carla, yes=False)
    ana.memberships.forget()
    assert await due(ana) == [Letter(carla.me.uid, carla.me.did, ROOM_KEY, kept[0], session, 1)]
    assert kept[1] == 1


@pytest.mark.parametrize("named", [True, False])
async def test_it_brings_the_key_of_the_group_s_name_along(desks: Desks, log: Log, *, named: bool) -> None:
    ana, _, carla = desks
    key = new_profile_key()
    if named:
        await ana.store.run(lambda tx: tx.groups.add_key(log.chat_id, key, own=True))
    session = await left_out(desks, log)
    kept = await ana.store.read(lambda tx: kept_key(tx, log.chat_id, session, carla.me.uid))
    assert kept is not None
    assert decode_room_key(kept[0]).gpk == (key.reveal() if named else b"")


async def test_for_nobody_that_was_left_out_nothing_is_kept(desks: Desks, log: Log) -> None:
    ana, bruno, _ = desks
    session = await left_out(desks, log)
    assert await ana.store.read(lambda tx: kept_key(tx, log.chat_id, session, bruno.me.uid)) is None


async def test_what_is_kept_for_a_group_that_is_gone_is_forgotten_and_the_rest_is_given(desks: Desks, log: Log) -> None:
    ana, _, carla = desks
    stale = f"withheld:{bytes(32).hex()}:{bytes(32).hex()}:{bytes(16).hex()}"
    await ana.store.run(lambda tx: tx.own.put(stale, Secret(b"x")))
    await left_out(desks, log)
    await blocked(ana, carla, yes=False)
    assert [letter.uid for letter in await due(ana)] == [carla.me.uid]
    assert stale not in await names(ana)


async def test_who_is_still_left_out_keeps_no_other_one_from_theirs(desks: Desks, log: Log) -> None:
    """Whichever of the two keys was kept first."""
    ana, bruno, carla = desks
    await left_out(desks, log, both=True)
    for one in (bruno, carla):
        await blocked(ana, one, yes=False)
        assert [letter.uid for letter in await due(ana)] == [one.me.uid]
        await blocked(ana, one, yes=True)
    for one in (bruno, carla):
        await blocked(ana, one, yes=False)
    assert {letter.uid for letter in await due(ana)} == {bruno.me.uid, carla.me.uid}


@pytest.mark.parametrize("why", ["another identity than the group's", "a newer list", "nobody one knows"])
async def test_it_waits_until_it_can_be_given(desks: Desks, log: Log, why: str) -> None:
    ana, _, carla = desks
    await left_out(desks, log)

    def hinder(tx: Tx, out: Outcome) -> None:
        accept_identity(tx, out, ana.me, carla.me.uid)
        contact = tx.contacts.get(carla.me.uid)
        assert contact is not None
        if why == "another identity than the group's":
            tx.contacts.put(replace(contact, idfp=Idfp(os.urandom(32))))
        elif why == "a newer list":
            tx.contacts.announce(carla.me.uid, 9)
        else:
            tx.contacts._db.execute("DELETE FROM contacts WHERE uid = ?", carla.me.uid)

    await ana.do(hinder)
    assert await due(ana) == []
    assert len(await names(ana)) == 1, "it is kept"


async def test_what_has_reached_every_device_is_forgotten(desks: Desks, log: Log) -> None:
    ana, _, carla = desks
    session = await left_out(desks, log)
    await blocked(ana, carla, yes=False)
    await write(ana, log.chat_id, "dos")
    shares = await ana.store.read(lambda tx: tx.outbound.shares(session))
    assert Uid(shares[carla.me.did].uid) == carla.me.uid
    assert await due(ana) == []
    assert await names(ana) == ()
