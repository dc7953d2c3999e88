"""Chosen history: what is taken back, how much is sent without being asked, and what runs beside a connection."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from msgspec.structs import replace as with_fields

from mensajeria.client.api import HistoryChoice
from mensajeria.client.engine import giving
from mensajeria.client.engine.envelopes import Mail
from mensajeria.client.engine.letters import HISTORY_KEYS, Letter
from mensajeria.client.errors import NetworkError
from mensajeria.client.store import Tx
from mensajeria.client.store.key_values import InboundKey
from mensajeria.crypto.inbound import _PickledInbound
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.ids import ChatId, Idfp, Uid
from mensajeria.protocol.records_history import HistoryKeys
from tests.client.engine.newcomers import Circle, circle
from tests.client.engine.test_chosen_history import ask, session_at
from tests.crypto.people import Person

if TYPE_CHECKING:
    from mensajeria.client.engine.context import Context


@pytest.fixture(scope="module")
def people() -> tuple[Person, Person, Person]:
    return Person("ana"), Person("bruno"), Person("dora")


@pytest.fixture
async def group(people: tuple[Person, Person, Person], tmp_path: Path) -> AsyncIterator[Circle]:
    async with circle(people, tmp_path) as made:
        yield made


# --- taken back


async def test_who_was_not_added_after_all_is_forgotten_and_nobody_else(group: Circle) -> None:
    dora, other, giver = group.dora.at.me.uid, Uid(os.urandom(16)), group.ana.giver

    def step(tx: Tx, _: object) -> list[tuple[Uid, ...]]:
        for uids in ([dora], [other], [dora, other]):
            giver.want(tx, group.chat_id, uids, HistoryChoice.ALL)
        giver.forget(tx, ChatId(os.urandom(32)), [dora])
        giver.forget(tx, group.chat_id, [dora])
        return [grant.uids for grant in tx.grants.wanted()]

    assert await group.ana.at.do(step) == [(other,), (dora, other)]


async def test_nothing_is_noted_of_who_shall_get_nothing(group: Circle) -> None:
    def step(tx: Tx, _: object) -> int:
        group.ana.giver.want(tx, group.chat_id, [group.dora.at.me.uid], HistoryChoice.NOTHING)
        return len(tx.grants.wanted())

    assert await group.ana.at.do(step) == 0


# --- the event that it is for


async def want(group: Circle, *uids: Uid) -> None:
    group.ana.at.memberships.forget()
    await group.ana.at.do(lambda tx, _: group.ana.giver.want(tx, group.chat_id, uids, HistoryChoice.ALL))


async def settled(group: Circle) -> tuple[list[ChatId], int]:
    """The chats with something to tell now, and how many choices are waiting."""

    def step(tx: Tx, out: Mail) -> tuple[list[ChatId], int]:
        return group.ana.giver.settle(tx, out), len(tx.grants.wanted())

    return await group.ana.at.do(step)


async def test_an_event_from_before_the_choice_is_not_its_event(group: Circle) -> None:
    await group.write(group.ana, "antes")
    await group.add_dora(HistoryChoice.NOTHING)
    await want(group, group.dora.at.me.uid)
    assert await settled(group) == ([], 1)


async def test_somebody_else_s_event_is_not_its_event(people: tuple[Person, Person, Person], tmp_path: Path) -> None:
    async with circle(people, tmp_path, bruno="admin") as group:
        await group.write(group.ana, "antes")
        await want(group, group.dora.at.me.uid)
        await group.add_dora(HistoryChoice.NOTHING, by=group.bruno)
        await group.read(group.ana)
        assert await settled(group) == ([], 1)


async def test_an_event_that_adds_others_is_not_its_event(group: Circle) -> None:
    await group.write(group.ana, "antes")
    await want(group, Uid(os.urandom(16)))
    await group.add_dora(HistoryChoice.NOTHING)
    assert await settled(group) == ([], 1)


async def test_where_there_is_nothing_to_give_nobody_is_told(group: Circle) -> None:
    await group.add_dora(HistoryChoice.ALL)
    assert await settled(group) == ([], 0)


async def test_a_choice_waits_a_day_for_its_event(group: Circle) -> None:
    await want(group, group.dora.at.me.uid)
    group.later(giving.FORGET_MS)
    assert await settled(group) == ([], 1)
    group.later(1)
    assert await settled(group) == ([], 0)


# --- to whom


@pytest.mark.parametrize("why", ["nobody one knows", "blocked", "another identity", "by another event"])
async def test_whoever_is_not_in_by_that_event_under_the_known_identity_gets_nothing(group: Circle, why: str) -> None:
    await group.write(group.ana, "antes")
    await group.add_dora(HistoryChoice.ALL)
    uid, joined = group.dora.at.me.uid, group.events + (why == "by another event")

    def entitled(tx: Tx, _: object) -> bool:
        group.ana.at.memberships.forget()
        return group.ana.giver.is_entitled(tx, group.chat_id, uid, joined)

    def hinder(tx: Tx) -> None:
        contact = tx.contacts.get(uid)
        assert contact is not None
        if why == "nobody one knows":
            tx.contacts._db.execute("DELETE FROM contacts WHERE uid = ?", uid)
        elif why == "blocked":
            tx.contacts.put(replace(contact, sending_blocked=True))
        elif why == "another identity":
            tx.contacts.put(replace(contact, idfp=Idfp(os.urandom(32))))

    assert await group.ana.at.do(entitled) is (why != "by another event")
    await group.ana.at.store.run(hinder)
    assert not await group.ana.at.do(entitled)


# --- how much


async def sessions(group: Circle, number: int) -> None:
    """So many sessions of Ana's and Bruno's in turn, which are chosen for Dora."""
    for n in range(number):
        await group.write(group.bruno if n % 2 else group.ana, str(n))
        if n % 2:
            for guest in (group.ana, group.bruno):
                await guest.at.do(lambda tx, _: tx.outbound.drop(group.chat_id))
    await group.read(group.ana, group.bruno)
    await group.add_dora(HistoryChoice.ALL)
    await group.tell()


def counted(letters: list[Letter]) -> list[int]:
    return [len(decode_record(HistoryKeys, letter.content).keys) for letter in letters]


@pytest.mark.parametrize(("at_once", "at_most", "sent"), [(1, 3, [1, 1, 1]), (2, 3, [2, 2]), (3, 2, [3]), (9, 2, [4])])
async def test_of_very_many_sessions_the_rest_is_asked_for(
    group: Circle, monkeypatch: pytest.MonkeyPatch, at_once: int, at_most: int, sent: list[int]
) -> None:
    await sessions(group, 4)
    monkeypatch.setattr(giving, "KEYS_AT_ONCE", at_once)
    monkeypatch.setattr(giving, "PUSHED_AT_MOST", at_most)
    assert counted(await group.owed()) == sent


async def test_after_a_restart_whoever_asks_gets_what_was_chosen(group: Circle) -> None:
    await sessions(group, 2)
    (letter,) = await ask(group, group.ana, session_at(group, 2))
    assert counted([letter]) == [1]
    key = InboundKey(group.chat_id, session_at(group, 2), group.ana.at.me.uid, group.ana.at.me.did)

    def answer(tx: Tx, _: Mail) -> tuple[list[Letter], int | None]:
        group.ana.at.memberships.forget()
        return group.ana.giver.answer(tx, *group.dora.at.address, key)

    assert await group.ana.at.do(answer) == ([letter], 0)


@pytest.mark.parametrize("gone", [2, 3])
async def test_a_session_that_is_gone_keeps_no_other_one_back(group: Circle, gone: int) -> None:
    await sessions(group, 2)
    await group.ana.at.store.run(
        lambda tx: tx.inbound._db.execute("DELETE FROM megolm_inbound WHERE session_id = ?", session_at(group, gone))
    )
    assert counted(await group.owed()) == [1]


async def test_of_a_session_only_what_was_proven_is_given(group: Circle) -> None:
    await sessions(group, 1)
    key = InboundKey(group.chat_id, session_at(group, 2), group.ana.at.me.uid, group.ana.at.me.did)

    def prove_later(tx: Tx) -> None:
        stored = tx.inbound.get(key)
        assert stored is not None
        record = decode_record(_PickledInbound, stored.state.reveal(), max_size=1 << 20)
        ratchets = tuple(with_fields(one, signed=False, proven_from=5) for one in record.ratchets)
        tx.inbound.put(replace(stored, state=Secret(encode(with_fields(record, ratchets=ratchets)))))

    await group.ana.at.store.run(prove_later)
    (letter,) = await group.owed()
    (given,) = decode_record(HistoryKeys, letter.content).keys
    assert given.first_index == 5


# --- beside a connection


class Beside:
    """What `push_owed` has of a client, with a way to the devices that fails as often as one says."""

    def __init__(self, group: Circle, failures: int = 0) -> None:
        at = group.ana.at
        self.due = asyncio.Event()
        self.context = cast(
            "Context",
            SimpleNamespace(
                giving_due=self.due, store=at.store, me=at.me, memberships=at.memberships, giver=group.ana.giver
            ),
        )
        self.sent: list[Letter] = []
        self.settled = 0
        self._failures = failures

    async def deliver(self, letters: list[Letter]) -> None:
        if self._failures:
            self._failures -= 1
            raise NetworkError("network")
        self.sent += letters

    async def settle(self) -> None:
        self.settled += 1

    async def until_it_waits(self) -> None:
        """Let it run until nothing is left to do."""
        running = asyncio.create_task(giving.push_owed(self.context, self.deliver, self.settle))
        async with asyncio.timeout(3):
            while not self.due_is_waited_for():
                await asyncio.sleep(0.001)
                assert not running.done(), running.exception()
        running.cancel()
        await asyncio.wait({running})

    def due_is_waited_for(self) -> bool:
        return bool(self.due._waiters)


async def test_what_was_chosen_before_a_crash_is_settled_and_sent(group: Circle) -> None:
    await sessions(group, 2)
    beside = Beside(group)
    beside.due.set()
    await beside.until_it_waits()
    assert beside.settled == 1
    assert [letter.type for letter in beside.sent] == [HISTORY_KEYS]
    assert counted(beside.sent) == [2]


async def test_what_was_withheld_is_sent_too(group: Circle, monkeypatch: pytest.MonkeyPatch) -> None:
    dora, seen = group.dora.at.me, []
    letter = Letter(dora.uid, dora.did, "room_key", b"key")

    def withheld(tx: Tx, *rest: object) -> list[Letter]:
        assert isinstance(tx, Tx)
        seen.append(rest)
        return [letter]

    monkeypatch.setattr(giving, "withheld_letters", withheld)
    beside = Beside(group)
    await beside.until_it_waits()
    assert beside.sent == [letter]
    assert seen == [(group.ana.at.me, group.ana.at.memberships)]


async def test_without_a_network_the_rest_is_sent_later(group: Circle, monkeypatch: pytest.MonkeyPatch) -> None:
    waited = []
    sleep = asyncio.sleep

    async def pause(seconds: float) -> None:
        waited.append(seconds)
        await sleep(0)

    monkeypatch.setattr(giving, "KEYS_AT_ONCE", 1)
    await sessions(group, 2)
    beside = Beside(group, failures=1)
    monkeypatch.setattr(asyncio, "sleep", pause)
    await beside.until_it_waits()
    assert giving.AGAIN_S in waited
    assert beside.settled == 2
    assert counted(beside.sent) == [1], "what was not sent is asked for"
