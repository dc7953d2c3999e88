"""A profile that was put back from a copy: what waits in its outbox may be in the log already."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from mensajeria.client.api import ChangeSent, MessageDiscarded, MessageKind, MessageReceived, MessageState
from mensajeria.client.engine.envelopes import Mail
from mensajeria.client.engine.former_life import anything_waits, facts_for, give_way
from mensajeria.client.engine.kinds import own
from mensajeria.client.engine.letters import Letter
from mensajeria.client.engine.sealing import fail
from mensajeria.client.store import Tx
from mensajeria.client.store.files import Upload
from mensajeria.client.store.key_values import InboundKey, Share, ShareOutcome
from mensajeria.client.store.values import NewMessage
from mensajeria.crypto.message import TEXT, decode_outer, text_body
from mensajeria.protocol.errors import Code
from mensajeria.protocol.ids import ChatId, Did, Mid, SessionId
from mensajeria.protocol.records import SUITE_GROUP, MessageOuter
from tests.client.engine.stations import Station, chat_of, station
from tests.crypto.people import NOW, Person


@dataclass
class Lives:
    """Ana's device as it was, the device that its copy became, and Bruno's."""

    former: Station
    copy: Station
    bruno: Station
    chat: ChatId


@pytest.fixture
async def lives(tmp_path: Path) -> AsyncIterator[Lives]:
    ana, bruno = Person("ana"), Person("bruno")
    new = ana.add_device()
    async with AsyncExitStack() as stack:
        former, copy, other = [
            await stack.enter_async_context(station(person, device, [peer], tmp_path))
            for person, device, peer in ((ana, ana.device, bruno), (ana, new, bruno), (bruno, bruno.device, ana))
        ]
        yield Lives(former, copy, other, chat_of(ana, bruno))


async def queue(by: Station, chat: ChatId, mid: Mid, text: str = "hola") -> None:
    """The text waits in the outbox."""

    def step(tx: Tx, _: Mail) -> None:
        new = NewMessage(chat, mid, by.me.uid, True, MessageKind.TEXT, MessageState.QUEUED, NOW, text=text)
        tx.messages.add(new)
        tx.outbox.add(chat, mid, TEXT, text_body(text), NOW)

    await by.do(step)


async def seal(by: Station, chat: ChatId) -> tuple[list[bytes], dict[Did, Letter]]:
    """What waits is sealed: the rows, and the letters with their key by device, which everybody gets."""

    def step(tx: Tx, out: Mail) -> tuple[list[bytes], dict[Did, Letter]]:
        letters = by.sealer.plan(tx, out, chat, 100).letters
        for letter in letters:
            assert letter.session_id is not None
            share = Share(letter.uid, letter.did, letter.idx, ShareOutcome.SHARED, NOW)
            tx.outbound.put_share(letter.session_id, share)
        plan = by.sealer.plan(tx, out, chat, 100)
        rows = [item.sealed.outer for item in plan.ready if item.sealed is not None]
        return rows, {letter.did: letter for letter in letters}

    return await by.do(step)


async def refused(by: Station, chat: ChatId, mid: Mid) -> None:
    """The server has another message under this id."""

    def step(tx: Tx, out: Mail) -> None:
        item = tx.outbox.get(chat, mid)
        assert item is not None
        fail(tx, out, by.me, chat, item, Code.MID_CONFLICT)

    await by.do(step)


async def states(of: Station, chat: ChatId) -> list[tuple[str, MessageState, int | None]]:
    page = await of.store.read(lambda tx: tx.messages.page(chat, limit=10))
    return [(one.text, one.state, one.seq) for one in page.messages]


async def waits(of: Station) -> bool:
    return await of.store.read(lambda tx: tx.outbox.waits())


async def test_what_the_log_has_does_not_wait_any_more_and_is_shown_once(lives: Lives) -> None:
    mid = Mid(os.urandom(16))
    await queue(lives.copy, lives.chat, mid)
    await queue(lives.former, lives.chat, mid)
    rows, letters = await seal(lives.former, lives.chat)
    await lives.copy.take(lives.former, letters[lives.copy.me.did])
    out = await lives.copy.read(lives.chat, 1, rows)
    assert await states(lives.copy, lives.chat) == [("hola", MessageState.SENT, 1)]
    assert not await waits(lives.copy)
    assert [type(event) for event in out.events] == [MessageDiscarded, MessageReceived]


async def test_a_refused_one_is_there_after_all_when_the_key_of_its_row_comes(lives: Lives) -> None:
    mid = Mid(os.urandom(16))
    await queue(lives.copy, lives.chat, mid)
    await queue(lives.former, lives.chat, mid)
    rows, letters = await seal(lives.former, lives.chat)
    await seal(lives.copy, lives.chat)  # the copy sends it too
    await lives.copy.read(lives.chat, 1, rows)
    assert await lives.copy.texts(lives.chat) == ["<waiting>", "hola"], "a row without a key is no proof of anything"
    await refused(lives.copy, lives.chat, mid)
    assert (await states(lives.copy, lives.chat))[1:] == [("hola", MessageState.FAILED, None)]
    await lives.copy.take(lives.former, letters[lives.copy.me.did])
    assert await states(lives.copy, lives.chat) == [("hola", MessageState.SENT, 1)]
    assert not await waits(lives.copy)


async def test_the_row_may_come_while_the_copys_own_is_on_its_way(lives: Lives) -> None:
    mid = Mid(os.urandom(16))
    await queue(lives.copy, lives.chat, mid)
    await queue(lives.former, lives.chat, mid)
    rows, letters = await seal(lives.former, lives.chat)
    await lives.copy.take(lives.former, letters[lives.copy.me.did])
    await seal(lives.copy, lives.chat)
    await lives.copy.read(lives.chat, 1, rows)
    assert await states(lives.copy, lives.chat) == [("hola", MessageState.SENT, 1)]
    assert not await waits(lives.copy)


async def test_the_index_that_the_copy_had_used_for_it_is_declared_void(lives: Lives) -> None:
    mid = Mid(os.urandom(16))
    await queue(lives.copy, lives.chat, mid)
    await queue(lives.former, lives.chat, mid)
    rows, letters = await seal(lives.former, lives.chat)
    _, to_bruno = await seal(lives.copy, lives.chat)
    await lives.copy.take(lives.former, letters[lives.copy.me.did])
    await lives.copy.read(lives.chat, 1, rows)
    await queue(lives.copy, lives.chat, Mid(os.urandom(16)), "y más")
    after, _ = await seal(lives.copy, lives.chat)
    for by, letter in ((lives.former, letters), (lives.copy, to_bruno)):
        await lives.bruno.take(by, letter[lives.bruno.me.did])
    await lives.bruno.read(lives.chat, 1, [*rows, *after])
    assert await lives.bruno.texts(lives.chat) == ["hola", "y más"], "and nothing is said to be missing"


async def test_a_change_that_the_log_has_is_done_once_and_told_as_sent(
    lives: Lives, monkeypatch: pytest.MonkeyPatch
) -> None:
    mid = Mid(os.urandom(16))
    await queue(lives.former, lives.chat, mid)
    rows, letters = await seal(lives.former, lives.chat)
    await lives.copy.take(lives.former, letters[lives.copy.me.did])
    for one in (lives.former, lives.copy):
        await one.read(lives.chat, 1, rows)
    edit = Mid(os.urandom(16))
    monkeypatch.setattr(own, "random16", lambda: edit)
    for one in (lives.former, lives.copy):  # the copy was made with the edit in its outbox
        await one.do(lambda tx, out: own.edit(tx, out, one.me, lives.chat, mid, "adiós"))  # noqa: B023
    changed, _ = await seal(lives.former, lives.chat)
    out = await lives.copy.read(lives.chat, 2, changed)
    assert ChangeSent(lives.chat, edit) in out.events
    assert not await waits(lives.copy)
    page = await lives.copy.store.read(lambda tx: tx.messages.page(lives.chat, limit=10))
    assert [(one.text, one.edited) for one in page.messages] == [("adiós", True)]


async def test_a_change_that_was_sealed_here_too_leaves_no_gap(lives: Lives, monkeypatch: pytest.MonkeyPatch) -> None:
    mid, edit = Mid(os.urandom(16)), Mid(os.urandom(16))
    await queue(lives.former, lives.chat, mid)
    rows, letters = await seal(lives.former, lives.chat)
    for one in (lives.copy, lives.bruno):
        await one.take(lives.former, letters[one.me.did])
    for one in (lives.former, lives.copy, lives.bruno):
        await one.read(lives.chat, 1, rows)
    monkeypatch.setattr(own, "random16", lambda: edit)
    for one in (lives.former, lives.copy):
        await one.do(lambda tx, out: own.edit(tx, out, one.me, lives.chat, mid, "adiós"))  # noqa: B023
    changed, _ = await seal(lives.former, lives.chat)
    _, to_bruno = await seal(lives.copy, lives.chat)
    await lives.copy.read(lives.chat, 2, changed)
    await queue(lives.copy, lives.chat, Mid(os.urandom(16)), "y más")
    after, _ = await seal(lives.copy, lives.chat)
    await lives.bruno.take(lives.copy, to_bruno[lives.bruno.me.did])
    await lives.bruno.read(lives.chat, 2, [*changed, *after])
    assert await lives.bruno.texts(lives.chat) == ["adiós", "y más"]


async def test_a_file_that_the_log_has_is_not_uploaded_any_more(lives: Lives) -> None:
    mid, out = Mid(os.urandom(16)), Mail()

    def wait(tx: Tx) -> None:
        new = NewMessage(lives.chat, mid, lives.copy.me.uid, True, MessageKind.FILE, MessageState.QUEUED, NOW)
        tx.messages.add(new)
        tx.uploads.add(Upload(lives.chat, mid, "x", 9, b"body"))

    store, me = lives.copy.store, lives.copy.me
    await store.run(wait)
    page = await store.read(lambda tx: tx.messages.page(lives.chat, limit=1))
    assert await store.read(anything_waits)
    await store.run(lambda tx: give_way(tx, out, me, lives.chat, mid))
    assert not await store.read(anything_waits)
    assert out.uploads
    assert out.events == [MessageDiscarded(lives.chat, mid, page.messages[0].order)]
    assert out.touched == {lives.chat}


@pytest.mark.parametrize("waits_here", [True, False])
async def test_only_for_what_waits_here_is_anything_forgotten(lives: Lives, *, waits_here: bool) -> None:
    mid, other, session, digest = Mid(os.urandom(16)), Mid(os.urandom(16)), SessionId(os.urandom(32)), bytes(32)
    if waits_here:
        await queue(lives.copy, lives.chat, mid)
    me = lives.copy.me
    outer = MessageOuter(
        v=1, suite=SUITE_GROUP, chat_id=lives.chat, epoch=1, session_id=session, idx=0, mid=mid, ct=b"ct",
        del_hash=bytes(32), ttl_bucket=0,
    )  # fmt: skip

    def seen(tx: Tx, _: Mail) -> list[bytes | None]:
        for idx, one in enumerate((mid, other)):
            tx.replays.note(lives.chat, me.uid, one, session, idx, digest)
        facts = facts_for(tx, me, InboundKey(lives.chat, session, me.uid, me.did), outer)
        return [facts.seen_mid(lives.chat, me.uid, one) for one in (mid, other)]

    assert await lives.copy.do(seen) == [None if waits_here else digest, digest]


async def test_what_the_copied_one_had_sealed_before_the_copy_was_made_counts_as_well(lives: Lives) -> None:
    mid = Mid(os.urandom(16))
    await queue(lives.copy, lives.chat, mid)
    await queue(lives.former, lives.chat, mid)
    rows, letters = await seal(lives.former, lives.chat)
    await lives.copy.take(lives.former, letters[lives.copy.me.did])
    outer = decode_outer(rows[0])
    digest = hashlib.sha256(outer.ct).digest()
    session = SessionId(outer.session_id)
    await lives.copy.do(lambda tx, _: tx.replays.note(lives.chat, lives.copy.me.uid, mid, session, outer.idx, digest))
    await seal(lives.copy, lives.chat)
    await lives.copy.read(lives.chat, 1, rows)
    assert await states(lives.copy, lives.chat) == [("hola", MessageState.SENT, 1)]
    assert not await waits(lives.copy)


async def test_a_row_of_an_earlier_ciphertext_of_this_device_is_its_ack(lives: Lives) -> None:
    mid = Mid(os.urandom(16))
    await queue(lives.copy, lives.chat, mid)
    earlier, _ = await seal(lives.copy, lives.chat)
    await lives.copy.do(lambda tx, _: lives.copy.sealer.throw_away(tx, lives.chat))
    later, _ = await seal(lives.copy, lives.chat)
    assert later != earlier
    await lives.copy.read(lives.chat, 1, earlier)
    assert await states(lives.copy, lives.chat) == [("hola", MessageState.SENT, 1)]
    assert not await waits(lives.copy)


async def test_another_ciphertext_at_a_used_index_is_no_ack(lives: Lives) -> None:
    mid = Mid(os.urandom(16))
    await queue(lives.copy, lives.chat, mid)
    await queue(lives.former, lives.chat, mid)
    rows, letters = await seal(lives.former, lives.chat)
    await lives.copy.take(lives.former, letters[lives.copy.me.did])
    outer = decode_outer(rows[0])
    session = SessionId(outer.session_id)
    await lives.copy.do(
        lambda tx, _: tx.replays.note(lives.chat, lives.copy.me.uid, mid, session, outer.idx, os.urandom(32))
    )
    await lives.copy.read(lives.chat, 1, rows)
    assert await waits(lives.copy)
    assert (await states(lives.copy, lives.chat))[-1] == ("hola", MessageState.QUEUED, None)


async def test_somebody_elses_message_of_the_same_id_takes_nothing_away(lives: Lives) -> None:
    mid = Mid(os.urandom(16))
    await queue(lives.copy, lives.chat, mid)
    await queue(lives.bruno, lives.chat, mid, "de bruno")
    rows, letters = await seal(lives.bruno, lives.chat)
    await lives.copy.take(lives.bruno, letters[lives.copy.me.did])
    await lives.copy.read(lives.chat, 1, rows)
    assert await waits(lives.copy)
    assert await lives.copy.texts(lives.chat) == ["de bruno", "hola"]
