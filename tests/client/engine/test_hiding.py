"""What somebody blocked writes in a shared group: kept, and not shown while the block lasts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from mensajeria.client.api import (
    Cause,
    ChatChanged,
    Message,
    MessageChanged,
    MessageKind,
    MessageReceived,
    MessageState,
)
from mensajeria.client.engine.blocking import Blocking
from mensajeria.client.engine.context import Context
from mensajeria.client.engine.emitter import Emitter
from mensajeria.client.engine.hiding import is_hidden, shown, shown_found, shown_page
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.store import Tx
from mensajeria.client.store.values import NewMessage
from mensajeria.kit.ids import random16
from mensajeria.protocol.ids import ChatId, Mid, Uid
from tests.client.engine.circle import Log, seated
from tests.client.engine.world import NOW, Somebody

if TYPE_CHECKING:
    from mensajeria.client.engine.directory import Directory
    from mensajeria.client.transport.rest.api import RestApi
    from mensajeria.client.vault import Vault


class Server:
    def __init__(self) -> None:
        self.users = self

    async def block(self, uid: bytes) -> None:
        """Takes it."""

    async def unblock(self, uid: bytes) -> None:
        """Takes it."""


@dataclass
class Room:
    """Ana's device, in a group with Bruno and Dora."""

    context: Context
    blocking: Blocking
    chat_id: ChatId
    bruno: Uid
    dora: Uid
    seq: int = 1

    async def says(self, author: Uid, text: str, *, reply: tuple[Uid, Mid] | None = None) -> Mid:
        """A message arrives."""
        mid, self.seq = Mid(random16()), self.seq + 1
        new = NewMessage(
            self.chat_id, mid, author, outgoing=author == self.context.me.uid, kind=MessageKind.TEXT,
            state=MessageState.RECEIVED, sent_ms=NOW, text=text, reply=reply, seq=self.seq,
        )  # fmt: skip

        def step(tx: Tx, out: Outcome) -> None:
            out.events.append(MessageReceived(tx.messages.add(new)))
            out.touched.add(self.chat_id)

        await self.context.commit(step)
        return mid

    async def page(self) -> tuple[Message, ...]:
        read = self.context.store.read
        page = await read(lambda tx: shown_page(tx, tx.messages.page(self.chat_id)))
        return tuple(message for message in page.messages if message.kind is not MessageKind.NOTICE)


@pytest.fixture(scope="module")
def trio() -> tuple[Somebody, Somebody, Somebody]:
    return Somebody.make("ana"), Somebody.make("bruno"), Somebody.make("dora")


@pytest.fixture
async def room(trio: tuple[Somebody, Somebody, Somebody], tmp_path: Path) -> AsyncIterator[Room]:
    ana, bruno, dora = trio
    log = Log.create(ana, bruno, dora)
    async with seated(ana, [bruno, dora], log, tmp_path) as desk:
        rest, vault = cast("RestApi", Server()), cast("Vault", None)
        context = Context(desk.me, desk.store, rest, Emitter(), vault, tmp_path)
        yield Room(context, Blocking(context, cast("Directory", None)), log.chat_id, bruno.uid, dora.uid)


async def test_what_somebody_blocked_wrote_is_hidden_and_comes_back(room: Room) -> None:
    await room.says(room.bruno, "una grosería")
    await room.says(room.dora, "buenos días")
    await room.blocking.block(room.bruno)
    hidden, other = await room.page()
    assert (hidden.kind, hidden.cause, hidden.text) == (MessageKind.UNREADABLE, Cause.BLOCKED, "")
    assert other.text == "buenos días"
    await room.blocking.unblock(room.bruno)
    assert [message.text for message in await room.page()] == ["una grosería", "buenos días"]


async def test_a_message_of_somebody_blocked_arrives_without_its_text(room: Room) -> None:
    await room.blocking.block(room.bruno)
    stream = room.context.emitter.stream(10)
    await room.says(room.bruno, "una grosería")
    received, changed = await stream.next_batch()
    assert isinstance(received, MessageReceived)
    assert isinstance(changed, ChatChanged)
    assert changed.chat.last is not None
    assert [is_hidden(received.message), is_hidden(changed.chat.last)] == [True, True]
    assert (received.message.text, changed.chat.last.text) == ("", "")


async def test_who_looks_at_the_group_is_told_of_both_changes(room: Room) -> None:
    await room.says(room.bruno, "una grosería")
    await room.says(room.dora, "buenos días")
    stream = room.context.emitter.stream(10)
    for act, texts in ((room.blocking.block, [""]), (room.blocking.unblock, ["una grosería"])):
        await act(room.bruno)
        events = await stream.next_batch()
        assert [event.message.text for event in events if isinstance(event, MessageChanged)] == texts


async def test_what_others_quote_of_it_is_hidden(room: Room) -> None:
    said = await room.says(room.bruno, "una grosería")
    await room.says(room.dora, "no digas eso", reply=(room.bruno, said))
    await room.blocking.block(room.bruno)
    answer = (await room.page())[-1]
    assert answer.text == "no digas eso"
    assert answer.reply is not None
    assert answer.reply.text == ""


async def test_a_search_does_not_find_what_is_hidden(room: Room) -> None:
    await room.says(room.bruno, "una grosería")
    await room.says(room.dora, "otra grosería")

    async def found() -> list[str]:
        messages = await room.context.store.read(lambda tx: shown_found(tx, tx.views.search("grosería")))
        return [message.text for message in messages]

    assert sorted(await found()) == ["otra grosería", "una grosería"]
    await room.blocking.block(room.bruno)
    assert await found() == ["otra grosería"]


async def test_what_is_stored_stays(room: Room) -> None:
    mid = await room.says(room.bruno, "una grosería")
    await room.blocking.block(room.bruno)
    stored = await room.context.store.read(lambda tx: tx.messages.find(room.chat_id, mid))
    assert stored is not None
    assert stored.text == "una grosería"


async def test_in_the_direct_chat_what_was_written_before_stays_shown(room: Room) -> None:
    direct, mid = ChatId(b"d" * 32), Mid(random16())

    def read(tx: Tx) -> Message:
        tx.chats.ensure_direct(direct, room.bruno, accepted=True, note_to_self=False, now_ms=NOW)
        new = NewMessage(
            direct, mid, room.bruno, outgoing=False, kind=MessageKind.TEXT, state=MessageState.RECEIVED, sent_ms=NOW,
            text="hola", seq=1,
        )  # fmt: skip
        return shown(tx, tx.messages.add(new))

    await room.blocking.block(room.bruno)
    assert (await room.context.store.run(read)).text == "hola"
