"""Members whom a group knows by an identity that is not theirs any more, without a server."""

from __future__ import annotations

import os
from dataclasses import replace

from mensajeria.client.api import Cause, Trust
from mensajeria.client.engine.identity_moves import show_changed_members, under_former_identity
from mensajeria.client.store import Tx
from mensajeria.protocol.ids import Idfp, Uid
from tests.client.engine.circle import GroupDesk, Log
from tests.client.engine.trio import Desks, desks, log, trio

__all__ = ["desks", "log", "trio"]


async def former(desk: GroupDesk, log: Log) -> frozenset[Uid]:
    return await desk.store.read(lambda tx: under_former_identity(tx, desk.memberships.of(tx, log.chat_id).now))


async def test_who_has_another_identity_than_the_chain_is_known_by_a_former_one(desks: Desks, log: Log) -> None:
    ana, bruno, carla = desks
    assert await former(ana, log) == frozenset()
    other = replace(carla.who.contact, idfp=Idfp(os.urandom(32)))
    await ana.store.run(lambda tx: tx.contacts.put(other))
    assert await former(ana, log) == {carla.me.uid}
    assert await former(bruno, log) == frozenset()


async def test_of_somebody_who_was_never_met_nothing_is_said(desks: Desks, log: Log) -> None:
    ana, _, carla = desks

    def forget(tx: Tx) -> None:
        tx.contacts._db.execute("DELETE FROM contacts WHERE uid = ?", carla.me.uid)

    await ana.store.run(forget)
    assert await former(ana, log) == frozenset()
    await ana.do(lambda tx, out: show_changed_members(tx, out, ana.me, log.chat_id, [carla.me.uid]))
    assert (await ana.store.read(lambda tx: tx.messages.page(log.chat_id))).messages == ()


async def test_a_group_says_from_its_beginning_whose_identity_nobody_has_accepted(desks: Desks, log: Log) -> None:
    ana, bruno, carla = desks
    await ana.store.run(lambda tx: tx.contacts.set_trust(carla.me.uid, Trust.CHANGED))
    await ana.do(lambda tx, out: show_changed_members(tx, out, ana.me, log.chat_id, [bruno.me.uid, carla.me.uid]))
    page = await ana.store.read(lambda tx: tx.messages.page(log.chat_id))
    assert [(one.cause, one.sender.uid, one.params) for one in page.messages] == [
        (Cause.IDENTITY_CHANGED, carla.me.uid, {"handle": "carla"})
    ]
