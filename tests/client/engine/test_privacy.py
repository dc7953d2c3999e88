"""What a person lets others notice: who is told, who is heard, and that a change is obeyed at once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from mensajeria.client.api import PresenceChanged, PrivacyChanged, PrivacySettings
from mensajeria.client.engine.context import Context
from mensajeria.client.engine.emitter import Emitter
from mensajeria.client.engine.envelopes import Mail
from mensajeria.client.engine.membership import Memberships
from mensajeria.client.engine.privacy import Privacy, privacy_of
from mensajeria.client.engine.read_receipts import receipts
from mensajeria.client.store import Tx
from mensajeria.client.store.backup import StoredSetting
from mensajeria.protocol import frames
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.ids import ChatId, Did
from mensajeria.protocol.records import ReadMarker, ReadReceipts
from mensajeria.protocol.records_backup import SettingRecord
from tests.client.engine.world import Desk, chat_of

if TYPE_CHECKING:
    from mensajeria.client.engine.session import Session
    from mensajeria.client.transport.rest.api import RestApi
    from mensajeria.client.vault import Vault


class Wire:
    """Takes the place of a connection: remembers what was sent."""

    def __init__(self) -> None:
        self.sent: list[frames.ClientFrame] = []

    def send(self, frame: frames.ClientFrame) -> None:
        self.sent.append(frame)

    @property
    def session(self) -> Session:
        return cast("Session", self)


@pytest.fixture
def context(ana: Desk, tmp_path: Path) -> Context:
    return Context(ana.me, ana.store, cast("RestApi", None), Emitter(), cast("Vault", None), tmp_path)


def chat(ana: Desk, bruno: Desk) -> ChatId:
    return chat_of(ana.who, bruno.who)


async def told(ana: Desk, chat_id: ChatId) -> list[tuple[bytes, tuple[ReadMarker, ...]]]:
    letters = await ana.store.read(lambda tx: receipts(tx, ana.me, Memberships(ana.me), [(chat_id, 7)]))
    return [(letter.uid, decode_record(ReadReceipts, letter.content).markers) for letter in letters]


async def test_receipts_and_typing_are_told_and_presence_is_not_unless_asked_for(context: Context) -> None:
    assert await Privacy(context).settings() == PrivacySettings(read_receipts=True, typing=True, presence=False)


async def test_only_what_is_named_changes_and_it_is_kept(context: Context) -> None:
    privacy = Privacy(context)
    stream = context.emitter.stream(10)
    now = await privacy.change(typing=False, read_receipts=None, presence=True)
    assert now == PrivacySettings(typing=False, presence=True)
    assert await privacy.settings() == now
    assert PrivacyChanged(now) in await stream.next_batch()
    assert context.keys_due.is_set(), "the other own devices are told"


async def test_setting_what_is_set_changes_nothing(context: Context) -> None:
    privacy = Privacy(context)
    await privacy.change(typing=True)
    assert not context.keys_due.is_set()
    assert await context.store.read(lambda tx: tx.settings.all("privacy.")) == ()


async def test_another_device_s_change_is_obeyed_and_told(ana: Desk, context: Context) -> None:
    privacy = Privacy(context)
    stream = context.emitter.stream(10)
    record = SettingRecord(key="privacy.read_receipts", value=b"\x00", counter=1, did=b"d" * 16)
    await context.commit_with(Mail(), lambda tx, out: context.settings.take(tx, out, record))
    assert not (await privacy.settings()).read_receipts
    assert PrivacyChanged(PrivacySettings(read_receipts=False)) in await stream.next_batch()


@pytest.mark.parametrize("value", [b"", b"\x02", b"on", b"\x01\x01"])
async def test_a_value_of_a_newer_program_counts_as_never_set(ana: Desk, value: bytes) -> None:
    def read(tx: Tx) -> PrivacySettings:
        tx.settings.put(StoredSetting("privacy.presence", value, 1, Did(b"d" * 16)))
        return privacy_of(tx)

    assert await ana.store.run(read) == PrivacySettings()


async def test_the_author_is_told_unless_the_person_does_not_want_it(ana: Desk, bruno: Desk, context: Context) -> None:
    there = chat(ana, bruno)
    assert await told(ana, there) == [(bruno.who.uid, (ReadMarker(there, 7),))]
    await Privacy(context).change(read_receipts=False)
    assert await told(ana, there) == []


async def test_who_does_not_tell_is_not_told(ana: Desk, bruno: Desk, context: Context) -> None:
    there, marks = chat(ana, bruno), ReadReceipts(markers=(ReadMarker(chat(ana, bruno), 5),))

    def read(tx: Tx) -> int:
        tx.chats.set_head(there, last_seq=9, epoch=0, member_seq=0)
        context.envelopes._read(tx, Mail(), bruno.who.uid, marks)
        found = tx.chats.get(there)
        assert found is not None
        return found.peer_read

    await Privacy(context).change(read_receipts=False)
    assert await ana.store.run(read) == 0
    await Privacy(context_like(context)).change(read_receipts=True)
    assert await ana.store.run(read) == 5


def context_like(context: Context) -> Context:
    """Another one of the same profile: a name of settings has one who acts on it."""
    return Context(context.me, context.store, context.rest, context.emitter, context.vault, context.folder)


async def run_presence(context: Context, wire: Wire) -> asyncio.Task[None]:
    task = asyncio.create_task(context.presence.run(wire.session))
    await settled(context)
    return task


async def settled(context: Context) -> None:
    """Let what was woken read the store: it answers in order."""
    for _ in range(5):
        await asyncio.sleep(0)
        await context.store.read(lambda _tx: None)


async def end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


async def test_nobody_is_told_that_one_is_here_until_one_wants_it(context: Context) -> None:
    privacy, wire = Privacy(context), Wire()
    task = await run_presence(context, wire)
    assert wire.sent == []
    await privacy.change(presence=True)
    await settled(context)
    assert wire.sent == [frames.Presence(bytes(16), True)]
    await privacy.change(presence=False)
    await settled(context)
    assert wire.sent[1:] == [frames.Presence(bytes(16), False)]
    await end(task)


async def test_contacts_come_and_go(ana: Desk, bruno: Desk, context: Context) -> None:
    await Privacy(context).change(presence=True)
    task, stream = await run_presence(context, Wire()), context.emitter.stream(10)
    for on in (True, True, False):
        await context.presence.heard(frames.Presence(bruno.who.uid, on))
    await context.presence.heard(frames.Presence(b"x" * 16, True))
    seen = [(event.person.handle, event.here) for event in await stream.next_batch()
            if isinstance(event, PresenceChanged)]  # fmt: skip
    assert seen == [("bruno", True), ("bruno", False)], "told once; of strangers nothing"
    assert context.presence.here == frozenset()
    await end(task)


async def test_a_server_is_not_believed_while_one_shows_nothing(bruno: Desk, context: Context) -> None:
    task = await run_presence(context, Wire())
    await context.presence.heard(frames.Presence(bruno.who.uid, True))
    assert context.presence.here == frozenset()
    await end(task)


async def test_when_the_connection_ends_nobody_is_here(bruno: Desk, context: Context) -> None:
    await Privacy(context).change(presence=True)
    task = await run_presence(context, Wire())
    await context.presence.heard(frames.Presence(bruno.who.uid, True))
    assert context.presence.here == {bruno.who.uid}
    stream = context.emitter.stream(10)
    await end(task)
    assert context.presence.here == frozenset()
    assert [type(event) for event in await stream.next_batch()] == [PresenceChanged]
