"""A row that the server has altered or lost comes back from the device that wrote it, or not at all."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import msgspec
import pytest

from mensajeria.client.api import Cause, Trust
from mensajeria.client.engine import holes
from mensajeria.client.engine.envelopes import Mail
from mensajeria.client.engine.resending import RESEND, RESENT
from mensajeria.crypto.message import decode_outer
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.frames import Event, EventKind, Tombstone
from mensajeria.protocol.ids import Mid, Uid
from mensajeria.protocol.records_healing import Resend, ResendRequest
from tests.attacks.evil import Rule, flipped
from tests.attacks.stage import Actor, Stage
from tests.attacks.test_rows import drop_row, three_while_bruno_is_away

if TYPE_CHECKING:
    from mensajeria.protocol.records import ToDevice

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def resend_at_once(no_resend: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holes, "FIRST_MS", 0)


class Spoil(Rule):
    """Does something to the next messages that one person is shown."""

    def __init__(self, to: Actor, how: str, count: int = 1) -> None:
        self._to, self._how, self._count = to.uid, how, count
        self._rows: set[int] = set()

    def event(self, to: bytes, event: Event) -> Iterable[Event]:
        if len(self._rows) < self._count and to == self._to and event.kind == EventKind.MESSAGE:
            self._rows.add(event.seq)
        if to != self._to or event.seq not in self._rows:
            yield event
            return
        outer = decode_outer(bytes(event.body))
        if self._how == "altered":
            ct = flipped(outer.ct, len(outer.ct) // 2)
            yield msgspec.structs.replace(event, body=encode(msgspec.structs.replace(outer, ct=ct)))
        elif self._how == "erased":
            gone = Tombstone(outer.session_id, outer.idx, 4)
            yield msgspec.structs.replace(event, kind=EventKind.TOMBSTONE, body=encode(gone))
        else:
            yield from ()


@pytest.mark.parametrize("how", ["altered", "erased"])
async def test_a_spoilt_row_comes_back_from_its_author_in_its_place(stage: Stage, how: str) -> None:
    ana, bruno = await stage.pair()
    await ana.send(stage.chat_id, "uno")
    await bruno.shows(stage.chat_id, "ana: uno")
    stage.evil.rule = Spoil(bruno, how)
    await ana.send(stage.chat_id, "dos")
    await ana.send(stage.chat_id, "tres")
    await bruno.shows(stage.chat_id, "ana: uno", "ana: dos", "ana: tres")
    places = await bruno.places(stage.chat_id)
    assert not {Cause.TAMPERED, Cause.MISSING, Cause.REMOVED_BY_SERVER} & set(places)
    assert await bruno.read(lambda tx: (tx.meta.number(RESENT), tx.holes.next_due_ms())) == (1, None)


@pytest.mark.parametrize("how", ["altered", "erased"])
async def test_several_spoilt_rows_come_back_each_in_its_place(stage: Stage, how: str) -> None:
    ana, bruno = await stage.pair()
    stage.evil.rule = Spoil(bruno, how, 3)
    for text in ("uno", "dos", "tres", "cuatro"):
        await ana.send(stage.chat_id, text)
    await bruno.shows(stage.chat_id, "ana: uno", "ana: dos", "ana: tres", "ana: cuatro")
    await bruno.has_no_place(stage.chat_id, Cause.TAMPERED, Cause.MISSING, Cause.REMOVED_BY_SERVER)


async def test_a_row_that_fits_into_no_letter_comes_back_in_parts(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    stage.evil.rule = Spoil(bruno, "altered")
    text = os.urandom(30_000).hex()
    await ana.send(stage.chat_id, text)
    await bruno.shows(stage.chat_id, f"ana: {text}")
    assert await bruno.read(lambda tx: tx.meta.number(RESENT)) == 1


@pytest.mark.parametrize("dropped", [(1,), (0, 1)], ids=["one", "two in a row"])
async def test_rows_that_were_dropped_come_back_before_what_told_of_them(
    stage: Stage, dropped: tuple[int, ...]
) -> None:
    def drop(db: sqlite3.Connection, first: int) -> None:
        for number in reversed(dropped):
            drop_row(db, first + number)

    bruno = await three_while_bruno_is_away(stage, drop)
    await bruno.has_place(stage.chat_id, Cause.MISSING)
    await stage.open("ana")
    await bruno.shows(stage.chat_id, "ana: uno", "ana: dos", "ana: tres")
    await bruno.has_no_place(stage.chat_id, Cause.MISSING)
    assert await bruno.read(lambda tx: tx.holes.next_due_ms()) is None


async def test_a_deleted_message_does_not_come_back(stage: Stage) -> None:
    ana, bruno = await spoilt(stage)
    row = await the_row(ana, stage)
    mid = Mid(decode_outer(row).mid)
    await ana.client.chat(stage.chat_id).delete(mid, for_all=False)
    assert await asked(ana, bruno, stage, row) == []


async def spoilt(stage: Stage) -> tuple[Actor, Actor]:
    """Bruno was shown an altered row, and has not asked for it yet."""
    holes.FIRST_MS = 3_600_000  # type: ignore[misc]  # the fixture puts it back
    ana, bruno = await stage.pair()
    await ana.send(stage.chat_id, "uno")
    await bruno.shows(stage.chat_id, "ana: uno")
    stage.evil.rule = Spoil(bruno, "altered")
    await ana.send(stage.chat_id, "dos")
    await bruno.has_place(stage.chat_id, Cause.TAMPERED)
    return ana, bruno


async def the_row(ana: Actor, stage: Stage) -> bytes:
    """What Ana's device has kept of the spoilt row."""
    outbound = await ana.read(lambda tx: tx.outbound.get(stage.chat_id))
    assert outbound is not None
    rows = await ana.read(lambda tx: [tx.sent_rows.get(stage.chat_id, outbound.session_id, idx, 0) for idx in range(8)])
    return [row.outer for row in rows if row is not None][-1]


async def hear(bruno: Actor, by: Actor, row: bytes, stage: Stage) -> bool:
    """Somebody's device hands a row to Bruno's; whether it is shown then."""
    letter = cast("ToDevice", SimpleNamespace(c=encode(Resend(chat_id=stage.chat_id, row=row))))
    resender, did = bruno.client._context.resender, by.client._context.me.did
    await bruno.client._context.commit_with(Mail(), lambda tx, out: resender._came(tx, out, Uid(by.uid), did, letter))
    return "ana: dos" in await bruno.texts(stage.chat_id)


async def asked(ana: Actor, by: Actor, stage: Stage, row: bytes) -> list[str]:
    """The types of what Ana's device gives to who asks for that row."""
    outer, mail = decode_outer(row), Mail()
    request = ResendRequest(chat_id=stage.chat_id, session_id=outer.session_id, idx=outer.idx)
    letter = cast("ToDevice", SimpleNamespace(c=encode(request)))
    resender, did = ana.client._context.resender, by.client._context.me.did
    await ana.client._context.store.run(lambda tx: resender._asked(tx, mail, Uid(by.uid), did, letter))
    return [answer.type for answer in mail.answers]


async def test_only_the_authors_device_gives_a_row_again_and_only_the_true_one(stage: Stage) -> None:
    ana, bruno = await spoilt(stage)
    row = await the_row(ana, stage)
    outer = decode_outer(row)
    other_text = encode(msgspec.structs.replace(outer, ct=flipped(outer.ct, len(outer.ct) // 2)))
    other_id = encode(msgspec.structs.replace(outer, mid=os.urandom(16)))
    other_index = encode(msgspec.structs.replace(outer, idx=7))
    assert not await hear(bruno, bruno, row, stage), "another device than the author's"
    for lie in (other_text, other_id, other_index):
        assert not await hear(bruno, ana, lie, stage)
    assert Cause.TAMPERED in await bruno.places(stage.chat_id)
    assert await hear(bruno, ana, row, stage)
    assert (await bruno.texts(stage.chat_id)).count("ana: dos") == 1
    assert await hear(bruno, ana, row, stage), "once is enough: nothing comes twice"
    assert (await bruno.texts(stage.chat_id)).count("ana: dos") == 1


async def test_a_row_is_given_again_only_to_who_may_have_its_key(stage: Stage) -> None:
    ana, bruno = await spoilt(stage)
    row = await the_row(ana, stage)
    assert await asked(ana, bruno, stage, row) == [RESEND]
    await ana.change(lambda tx: tx.chats.set_accepted(stage.chat_id, accepted=False))
    assert await asked(ana, bruno, stage, row) == []
    await ana.change(lambda tx: tx.chats.set_accepted(stage.chat_id, accepted=True))
    await ana.change(lambda tx: tx.contacts.set_trust(Uid(bruno.uid), Trust.CHANGED, sending_blocked=True))
    assert await asked(ana, bruno, stage, row) == []
