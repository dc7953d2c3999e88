"""A server that lies about what became of own messages: states may be wrong, nothing is lost twice or shown wrong."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable

import msgspec
import pytest

from mensajeria.client.api import MessageState
from mensajeria.protocol import frames
from mensajeria.protocol.errors import Code
from mensajeria.protocol.frames import Ack, BatchItem, Event, Nack
from mensajeria.protocol.records import MessageOuter
from tests.attacks.evil import Rule, flipped
from tests.attacks.stage import Stage


class Refuse(Rule):
    """Stores no message and refuses each with a code."""

    def __init__(self, code: str) -> None:
        self._code = code
        self.refused = 0

    def received(self, by: bytes, frame: msgspec.Struct) -> Iterable[msgspec.Struct] | None:
        if not isinstance(frame, MessageOuter):
            return None
        self.refused += 1
        return [frames.Batch((Nack(frame.chat_id, frame.mid, self._code, 0),))]


async def test_stale_epoch_for_ever_ends_in_a_clear_error(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    stage.evil.rule = rule = Refuse(Code.STALE_EPOCH)
    mid = await ana.send(stage.chat_id, "nunca", wait=False)
    message = await ana.state(stage.chat_id, mid, MessageState.FAILED)
    assert message.error is Code.STALE_EPOCH
    assert rule.refused < 20
    stage.evil.rule = Rule()
    await ana.send(stage.chat_id, "la siguiente")
    await bruno.shows(stage.chat_id, "ana: la siguiente")


async def test_an_unknown_refusal_fails_the_message_and_not_the_next(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    stage.evil.rule = Refuse("no_such_code")
    mid = await ana.send(stage.chat_id, "rechazada", wait=False)
    assert (await ana.state(stage.chat_id, mid, MessageState.FAILED)).error is Code.INTERNAL
    stage.evil.rule = Rule()
    await ana.send(stage.chat_id, "la siguiente")
    await bruno.shows(stage.chat_id, "ana: la siguiente")


@pytest.mark.parametrize("seq", [0, 1, 2, 1 << 47, (1 << 63) - 1])
async def test_an_ack_with_a_false_row_does_no_harm(stage: Stage, seq: int) -> None:
    """Rows that exist already, and rows that no log has."""
    ana, bruno = await stage.pair()

    class FalseRow(Rule):
        def item(self, to: bytes, item: BatchItem) -> Iterable[BatchItem]:
            if isinstance(item, Ack):
                yield msgspec.structs.replace(item, seq=seq)
            else:
                yield from super().item(to, item)

    stage.evil.rule = FalseRow()
    await ana.send(stage.chat_id, "mentira", wait=False)
    await bruno.shows(stage.chat_id, "bruno: qué tal", "ana: mentira")
    stage.evil.rule = Rule()
    stage.evil.drop_connections()
    await ana.send(stage.chat_id, "verdad")
    await bruno.shows(stage.chat_id, "ana: mentira", "ana: verdad")
    await bruno.send(stage.chat_id, "te leo")
    await ana.shows(stage.chat_id, "bruno: te leo")
    assert sorted(await ana.texts(stage.chat_id)) == sorted(await bruno.texts(stage.chat_id))


async def test_acks_of_messages_that_nobody_sent_have_no_effect(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    false: list[BatchItem] = [
        Ack(stage.chat_id, secrets.token_bytes(16), 3, 0),
        Ack(secrets.token_bytes(32), secrets.token_bytes(16), 9, 0),
        Nack(secrets.token_bytes(32), secrets.token_bytes(16), Code.STALE_EPOCH),
        Nack(stage.chat_id, secrets.token_bytes(16), Code.MID_CONFLICT),
    ]
    for item in false:
        await stage.evil.tell(ana.uid, frames.Batch((item,)))
    await ana.send(stage.chat_id, "sigo")
    await bruno.shows(stage.chat_id, "ana: sigo")
    await bruno.send(stage.chat_id, "y yo")
    await ana.shows(stage.chat_id, "bruno: y yo")


async def test_two_messages_acked_as_the_same_row_are_both_kept(stage: Stage) -> None:
    ana, bruno = await stage.pair()

    class SameRow(Rule):
        def item(self, to: bytes, item: BatchItem) -> Iterable[BatchItem]:
            if isinstance(item, Ack):
                yield msgspec.structs.replace(item, seq=3)
            else:
                yield from super().item(to, item)

    stage.evil.rule = SameRow()
    await ana.send(stage.chat_id, "uno", wait=False)
    await ana.send(stage.chat_id, "dos", wait=False)
    await bruno.shows(stage.chat_id, "ana: uno", "ana: dos")
    await asyncio.sleep(0.1)
    stage.evil.rule = Rule()
    stage.evil.drop_connections()
    await bruno.send(stage.chat_id, "tres")
    await ana.shows(stage.chat_id, "bruno: tres")
    assert {"ana: uno", "ana: dos"} <= set(await ana.texts(stage.chat_id))


async def test_an_own_message_that_comes_back_altered_is_told(stage: Stage) -> None:
    """The ack is withheld; the row of the own message holds something else than was sent."""
    ana, _ = await stage.pair()

    class Altered(Rule):
        def item(self, to: bytes, item: BatchItem) -> Iterable[BatchItem]:
            if not isinstance(item, Ack):
                yield from super().item(to, item)

        def event(self, to: bytes, event: Event) -> Iterable[Event]:
            body = flipped(bytes(event.body), 180) if to == ana.uid else event.body
            yield msgspec.structs.replace(event, body=body)

    stage.evil.rule = Altered()
    mid = await ana.send(stage.chat_id, "mía", wait=False)
    await ana.until(lambda: stage.evil.seen.frames_of(ana.uid, MessageOuter), "sent")
    await asyncio.sleep(0.2)
    stage.evil.drop_connections()
    await ana.warned("row_tampered")
    message = next(one for one in await ana.timeline(stage.chat_id) if one.mid == mid)
    assert message.text == "mía"


async def test_false_cursors_and_heads_are_display_only(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    false: list[BatchItem] = [
        frames.PeerCursor(stage.chat_id, bruno.uid, (1 << 63) - 1),
        frames.PeerCursor(stage.chat_id, ana.uid, 5),
        frames.PeerCursor(secrets.token_bytes(32), bruno.uid, 5),
    ]
    for item in false:
        await stage.evil.tell(ana.uid, frames.Batch((item,)))
    mid = await ana.send(stage.chat_id, "hola de nuevo")
    await bruno.shows(stage.chat_id, "ana: hola de nuevo")
    # "Delivered" may be a lie of the server; "read" never comes from it.
    message = next(one for one in await ana.timeline(stage.chat_id) if one.mid == mid)
    assert message.state in {MessageState.SENT, MessageState.DELIVERED}
