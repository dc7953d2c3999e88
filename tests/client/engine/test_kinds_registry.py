"""The registry of message types: what has a place, what has none, and what no type takes."""

from __future__ import annotations

import os

import pytest

from mensajeria.client.api import MessageKind, MessageRemoved
from mensajeria.client.engine.kinds import Arrival, known_kinds
from mensajeria.client.engine.kinds.text import Text
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.store import Tx
from mensajeria.client.store.values import NewMessage, OutboxItem
from mensajeria.protocol.encoding import MalformedError
from mensajeria.protocol.ids import ChatId, Mid
from mensajeria.protocol.records import MessageInner
from tests.client.engine.test_rows_and_sealing import bodies, give_key, read, share_all, shown
from tests.client.engine.world import NOW, Desk, chat_of


class Poke:
    """A type without a place, for these tests."""

    name = "poke"

    def __init__(self) -> None:
        self.poked: list[bytes] = []

    def parse(self, inner: MessageInner, body: bytes) -> bytes:
        if len(body) != 1 or inner.refs:
            raise MalformedError("one byte")
        return body

    def apply(self, tx: Tx, out: Outcome, arrival: Arrival, body: bytes) -> NewMessage | None:
        self.poked.append(body)
        return None


async def say(desk: Desk, chat_id: ChatId, kind: str, body: bytes) -> tuple[list[OutboxItem], list[bytes]]:
    """Queue and seal one message of any type; the item and the keys to hand out."""

    def step(tx: Tx, out: Outcome) -> tuple[list[OutboxItem], list[bytes]]:
        tx.outbox.add(chat_id, Mid(os.urandom(16)), kind, body, NOW)
        plan = desk.sealer.plan(tx, out, chat_id, 100)
        keys = [letter.content for letter in plan.letters]
        share_all(tx, plan)
        return list(desk.sealer.plan(tx, out, chat_id, 100).ready) if keys else list(plan.ready), keys

    return await desk.do(step)


def test_two_types_cannot_have_one_name() -> None:
    kinds = known_kinds()
    with pytest.raises(ValueError, match="text"):
        kinds.register(Text())


async def test_a_message_of_an_unknown_type_keeps_a_place(ana: Desk, bruno: Desk) -> None:
    chat_id = chat_of(ana.who, bruno.who)
    items, (key,) = await say(ana, chat_id, "hologram", b"?")
    await give_key(bruno, ana, key)
    await read(bruno, chat_id, 1, bodies(items))
    page = await bruno.store.read(lambda tx: tx.messages.page(chat_id))
    assert [(m.kind, m.text, m.sender.handle) for m in page.messages] == [(MessageKind.UNKNOWN, "", "ana")]


async def test_a_body_that_its_type_does_not_take_keeps_a_place(ana: Desk, bruno: Desk) -> None:
    chat_id = chat_of(ana.who, bruno.who)
    bruno.rows.kinds.register(poke := Poke())
    items, (key,) = await say(ana, chat_id, "poke", b"too long")
    await give_key(bruno, ana, key)
    await read(bruno, chat_id, 1, bodies(items))
    assert (await shown(bruno, chat_id), poke.poked) == (["<unknown>"], [])


async def test_a_type_without_a_place_moves_the_cursor_and_counts_nothing(ana: Desk, bruno: Desk) -> None:
    chat_id = chat_of(ana.who, bruno.who)
    bruno.rows.kinds.register(poke := Poke())
    items, (key,) = await say(ana, chat_id, "poke", b"!")
    await give_key(bruno, ana, key)
    await read(bruno, chat_id, 1, bodies(items))
    chat = await bruno.store.read(lambda tx: tx.chats.get(chat_id))
    assert chat is not None
    assert (poke.poked, await shown(bruno, chat_id), chat.cursor, chat.unread) == ([b"!"], [], 1, 0)


async def test_what_waited_for_its_key_and_has_no_place_goes_from_the_timeline(ana: Desk, bruno: Desk) -> None:
    chat_id = chat_of(ana.who, bruno.who)
    bruno.rows.kinds.register(poke := Poke())
    items, (key,) = await say(ana, chat_id, "poke", b"!")
    await read(bruno, chat_id, 1, bodies(items))
    assert await shown(bruno, chat_id) == ["<waiting>"]
    await give_key(bruno, ana, key)
    assert (poke.poked, await shown(bruno, chat_id)) == ([b"!"], [])
    [event] = [event for event in bruno.last.events if isinstance(event, MessageRemoved)]
    assert (event.chat_id, event.order) == (chat_id, 1 << 16)


@pytest.mark.parametrize("known", [True, False])
async def test_after_an_update_what_was_unknown_is_read(ana: Desk, bruno: Desk, *, known: bool) -> None:
    """Once, and only what this version knows."""
    chat_id = chat_of(ana.who, bruno.who)
    items, (key,) = await say(ana, chat_id, "poke", b"!")
    await give_key(bruno, ana, key)
    await read(bruno, chat_id, 1, bodies(items))
    assert await shown(bruno, chat_id) == ["<unknown>"]
    poke = Poke()
    if known:
        bruno.rows.kinds.register(poke)
    await bruno.do(bruno.rows.read_again)
    assert (poke.poked, await shown(bruno, chat_id)) == (([b"!"], []) if known else ([], ["<unknown>"]))
    assert [type(e) for e in bruno.last.events] == ([MessageRemoved] if known else [])
