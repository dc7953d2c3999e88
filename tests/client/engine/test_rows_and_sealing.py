"""Sealing and reading without a server: waiting keys, gaps, voids, duplicates, stale epochs, big catch-ups."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

import pytest

from mensajeria.client.api import MessageChanged, MessageKind, MessageReceived, MessageState, SecurityWarning
from mensajeria.client.engine.acks import acknowledge
from mensajeria.client.engine.letters import ROOM_KEY
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.people import verified_list
from mensajeria.client.engine.sealing import Plan
from mensajeria.client.engine.waiting_rows import give_up
from mensajeria.client.store import Tx
from mensajeria.client.store.key_values import Inbound, InboundKey, Share, ShareOutcome
from mensajeria.client.store.values import NewMessage, OutboxItem
from mensajeria.crypto.inbound import InboundSession
from mensajeria.crypto.message import TEXT, decode_outer, text_body
from mensajeria.crypto.sender import decode_room_key, verify_binding
from mensajeria.protocol.ids import ChatId, Did, Mid, SessionId
from tests.client.engine.world import NOW, Desk, chat_of, event
from tests.support.loop import LoopLag


def queue(tx: Tx, desk: Desk, chat_id: ChatId, texts: Sequence[str]) -> list[Mid]:
    mids = [Mid(os.urandom(16)) for _ in texts]
    for mid, text in zip(mids, texts, strict=True):
        tx.messages.add(
            NewMessage(chat_id, mid, desk.me.uid, True, MessageKind.TEXT, MessageState.QUEUED, NOW, text=text)
        )
        tx.outbox.add(chat_id, mid, TEXT, text_body(text), NOW)
    return mids


def share_all(tx: Tx, plan: Plan) -> None:
    for letter in plan.letters:
        assert letter.session_id is not None
        share = Share(letter.uid, letter.did, letter.idx, ShareOutcome.SHARED, NOW)
        tx.outbound.put_share(letter.session_id, share)


async def write(desk: Desk, chat_id: ChatId, *texts: str) -> tuple[list[OutboxItem], list[bytes]]:
    """Queue and seal texts; the sealed items, and the room keys that were to be handed out for them."""

    def step(tx: Tx, out: Outcome) -> tuple[list[OutboxItem], list[bytes]]:
        queue(tx, desk, chat_id, texts)
        plan, keys = desk.sealer.plan(tx, out, chat_id, 10_000), []
        if plan.letters:
            assert {letter.type for letter in plan.letters} == {ROOM_KEY}
            keys = [letter.content for letter in plan.letters]
            share_all(tx, plan)
            plan = desk.sealer.plan(tx, out, chat_id, 10_000)
        return [item for item in plan.ready if item.sealed is not None], keys

    return await desk.do(step)


async def give_key(desk: Desk, author: Desk, content: bytes) -> None:
    """What an envelope with a room key does."""

    def step(tx: Tx, out: Outcome) -> None:
        room_key = decode_room_key(content)
        contact = tx.contacts.get(author.me.uid)
        assert contact is not None
        binding = verify_binding(room_key.skb, author=verified_list(contact))
        session = InboundSession.from_room_key(room_key, binding)
        key = InboundKey(ChatId(binding.chat_id), SessionId(binding.session_id), author.me.uid, author.me.did)
        tx.inbound.put(Inbound(key, session.dump(), NOW, session.first_index))
        desk.rows.reopen(tx, out, key.chat_id, key.session_id)

    await desk.do(step)


def bodies(items: Sequence[OutboxItem]) -> list[bytes]:
    return [item.sealed.outer for item in items if item.sealed is not None]


async def read(desk: Desk, chat_id: ChatId, first: int, rows: Sequence[bytes]) -> Outcome:
    events = [event(chat_id, first + n, body) for n, body in enumerate(rows)]
    await desk.do(lambda tx, out: desk.rows.apply(tx, out, chat_id, events, first + len(rows) - 1))
    return desk.last


async def shown(desk: Desk, chat_id: ChatId) -> list[str]:
    page = await desk.store.read(lambda tx: tx.messages.page(chat_id, limit=1000))
    return [m.text if m.kind is MessageKind.TEXT else f"<{m.cause or m.kind}>" for m in page.messages]


async def test_what_is_sealed_is_read_in_order(ana: Desk, bruno: Desk) -> None:
    chat_id = chat_of(ana.who, bruno.who)
    items, (key,) = await write(ana, chat_id, "uno", "dos", "tres")
    await give_key(bruno, ana, key)
    out = await read(bruno, chat_id, 1, bodies(items))
    assert await shown(bruno, chat_id) == ["uno", "dos", "tres"]
    received = [e.message for e in out.events if isinstance(e, MessageReceived)]
    assert [(m.seq, m.sender.handle, m.outgoing) for m in received] == [
        (1, "ana", False),
        (2, "ana", False),
        (3, "ana", False),
    ]
    chat = await bruno.store.read(lambda tx: tx.chats.get(chat_id))
    assert chat is not None
    assert (chat.cursor, chat.unread) == (3, 3)


async def test_rows_below_the_cursor_change_nothing(ana: Desk, bruno: Desk) -> None:
    chat_id = chat_of(ana.who, bruno.who)
    items, (key,) = await write(ana, chat_id, "uno", "dos")
    await give_key(bruno, ana, key)
    await read(bruno, chat_id, 1, bodies(items))
    out = await read(bruno, chat_id, 1, bodies(items))
    assert out.events == []
    assert await shown(bruno, chat_id) == ["uno", "dos"]


async def test_rows_wait_for_their_key_and_become_readable(ana: Desk, bruno: Desk) -> None:
    chat_id = chat_of(ana.who, bruno.who)
    items, (key,) = await write(ana, chat_id, "uno", "dos")
    out = await read(bruno, chat_id, 1, bodies(items))
    assert out.ask_keys
    assert await shown(bruno, chat_id) == ["<waiting>", "<waiting>"]
    assert len(await bruno.store.read(lambda tx: tx.requests.all())) == 1
    await give_key(bruno, ana, key)
    assert await shown(bruno, chat_id) == ["uno", "dos"]
    assert [e.message.text for e in bruno.last.events if isinstance(e, MessageChanged)] == ["uno", "dos"]
    assert not [e for e in bruno.last.events if isinstance(e, SecurityWarning)]
    assert await bruno.store.read(lambda tx: tx.requests.all()) == ()


async def test_a_key_that_never_comes_is_called_lost(ana: Desk, bruno: Desk) -> None:
    chat_id = chat_of(ana.who, bruno.who)
    items, _ = await write(ana, chat_id, "uno")
    await read(bruno, chat_id, 1, bodies(items))
    sealed = items[0].sealed
    assert sealed is not None
    await bruno.do(lambda tx, out: give_up(tx, out, chat_id, sealed.session_id))
    assert await shown(bruno, chat_id) == ["<lost>"]


async def test_a_hole_in_a_session_is_told_and_a_declared_void_is_not(ana: Desk, bruno: Desk) -> None:
    chat_id = chat_of(ana.who, bruno.who)
    items, (key,) = await write(ana, chat_id, "uno", "dos", "tres")
    await give_key(bruno, ana, key)
    rows = bodies(items)
    out = await read(bruno, chat_id, 1, [rows[0], rows[2]])
    assert await shown(bruno, chat_id) == ["uno", "<missing>", "tres"]
    assert [e.code for e in out.events if isinstance(e, SecurityWarning)] == ["messages_missing"]


async def test_a_refused_message_leaves_a_void_that_the_next_one_declares(ana: Desk, bruno: Desk) -> None:
    chat_id = chat_of(ana.who, bruno.who)
    items, (key,) = await write(ana, chat_id, "uno", "rechazado")
    await give_key(bruno, ana, key)

    def refuse(tx: Tx, out: Outcome) -> None:
        acknowledge(tx, out, ana.me, chat_id, items[0].mid, 1, NOW)
        tx.outbox.fail(chat_id, items[1].mid, "forbidden")

    await ana.do(refuse)
    more, _ = await write(ana, chat_id, "tres")
    out = await read(bruno, chat_id, 1, [*bodies(items[:1]), *bodies(more)])
    assert await shown(bruno, chat_id) == ["uno", "tres"]
    assert not [e for e in out.events if isinstance(e, SecurityWarning)]


async def test_the_end_of_a_session_is_checked_by_the_next_one(ana: Desk, bruno: Desk) -> None:
    chat_id = chat_of(ana.who, bruno.who)
    items, (key,) = await write(ana, chat_id, "uno", "dos")
    await give_key(bruno, ana, key)

    def rotate(tx: Tx, out: Outcome) -> None:
        for seq, item in enumerate(items, 1):
            acknowledge(tx, out, ana.me, chat_id, item.mid, seq, NOW)
        ana.sealer.throw_away(tx, chat_id)

    await ana.do(rotate)
    more, (second_key,) = await write(ana, chat_id, "tres")
    await give_key(bruno, ana, second_key)
    await read(bruno, chat_id, 1, [bodies(items)[0], *bodies(more)])
    assert await shown(bruno, chat_id) == ["uno", "<missing>", "tres"]


async def test_a_stale_epoch_seals_again_under_the_same_id_in_a_new_session(ana: Desk, bruno: Desk) -> None:
    chat_id = chat_of(ana.who, bruno.who)
    items, _ = await write(ana, chat_id, "uno", "dos")
    await ana.do(lambda tx, _: ana.sealer.throw_away(tx, chat_id))
    again, (key,) = await write(ana, chat_id)
    assert [item.mid for item in again] == [item.mid for item in items]
    sessions = (
        {decode_outer(body).session_id for body in bodies(items)},
        {decode_outer(b).session_id for b in bodies(again)},
    )
    assert sessions[0].isdisjoint(sessions[1])
    await give_key(bruno, ana, key)
    out = await read(bruno, chat_id, 1, bodies(again))
    assert await shown(bruno, chat_id) == ["uno", "dos"]
    assert not [e for e in out.events if isinstance(e, SecurityWarning)]


async def test_an_own_row_is_the_ack_that_was_lost(ana: Desk, bruno: Desk) -> None:
    chat_id = chat_of(ana.who, bruno.who)
    items, _ = await write(ana, chat_id, "uno")
    await read(ana, chat_id, 1, bodies(items))
    page = await ana.store.read(lambda tx: tx.messages.page(chat_id))
    assert [(m.text, m.state, m.seq) for m in page.messages] == [("uno", MessageState.SENT, 1)]
    assert await ana.store.read(lambda tx: tx.outbox.count()) == 0


async def test_an_own_message_at_another_place_is_a_replay(ana: Desk, bruno: Desk) -> None:
    chat_id = chat_of(ana.who, bruno.who)
    items, _ = await write(ana, chat_id, "uno")
    await read(ana, chat_id, 1, bodies(items) * 2)
    assert await shown(ana, chat_id) == ["uno", "<tampered>"]
    assert [e.code for e in ana.last.events if isinstance(e, SecurityWarning)] == ["row_tampered"]


async def test_nothing_is_sealed_while_a_list_is_wanted_or_an_answer_is_due(ana: Desk, bruno: Desk) -> None:
    chat_id = chat_of(ana.who, bruno.who)
    await ana.do(lambda tx, _: tx.contacts.announce(bruno.me.uid, 2))

    def step(tx: Tx, out: Outcome) -> Plan:
        queue(tx, ana, chat_id, ["uno"])
        return ana.sealer.plan(tx, out, chat_id, 64)

    plan = await ana.do(step)
    assert (plan.ready, plan.lists, plan.letters) == ((), (bruno.me.uid,), ())
    assert await ana.store.read(lambda tx: tx.outbound.get(chat_id)) is None


async def test_a_device_added_later_gets_the_key_from_now_on(ana: Desk, bruno: Desk) -> None:
    chat_id = chat_of(ana.who, bruno.who)
    await write(ana, chat_id, "uno")

    def forget_share(tx: Tx, out: Outcome) -> Plan:
        outbound = tx.outbound.get(chat_id)
        assert outbound is not None
        other = Share(bruno.me.uid, Did(b"x" * 16), 0, ShareOutcome.SHARED, NOW)
        tx.outbound.drop(chat_id)
        tx.outbound.put(outbound)
        tx.outbound.put_share(outbound.session_id, other)
        queue(tx, ana, chat_id, ["dos"])
        return ana.sealer.plan(tx, out, chat_id, 64)

    plan = await ana.do(forget_share)
    assert len(plan.ready) == 2
    assert plan.letters == ()


@pytest.mark.slow
async def test_thousands_of_rows_in_slices_leave_the_loop_free(ana: Desk, bruno: Desk, loop_lag: LoopLag) -> None:
    chat_id = chat_of(ana.who, bruno.who)
    total, rows, keys = 3_000, [], []
    for start in range(0, total, 500):
        items, fresh = await write(ana, chat_id, *(f"mensaje número {n}" for n in range(start, start + 500)))
        rows += bodies(items)
        keys += fresh

        def settle(tx: Tx, out: Outcome, items: list[OutboxItem] = items, start: int = start) -> None:
            for n, item in enumerate(items, start + 1):
                acknowledge(tx, out, ana.me, chat_id, item.mid, n, NOW)

        await ana.do(settle)
    for key in keys:
        await give_key(bruno, ana, key)
    loop_lag.reset()
    for start in range(0, total, 64):
        await read(bruno, chat_id, start + 1, rows[start : start + 64])
        await asyncio.sleep(0.0005)
    await loop_lag.assert_below(0.25)
    count = await bruno.store.read(lambda tx: tx.views.chat(chat_id))
    assert count is not None
    assert (count.unread, count.last.text if count.last else "") == (total, f"mensaje número {total - 1}")
