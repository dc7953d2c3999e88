"""Muted chats: known on all own devices, over by themselves, and nothing but the notifications changes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from mensajeria.client.api import MUTED_FOREVER, ChatChanged
from mensajeria.client.engine.context import Context
from mensajeria.client.engine.emitter import Emitter
from mensajeria.client.engine.muting import LONGEST_S, Muting
from mensajeria.client.errors import InputError
from mensajeria.client.store.mutes import until_of, value_of
from mensajeria.protocol.ids import ChatId, Did
from mensajeria.protocol.records_backup import SettingRecord
from tests.client.engine.world import Desk, chat_of

if TYPE_CHECKING:
    from mensajeria.client.transport.rest.api import RestApi
    from mensajeria.client.vault import Vault


@pytest.fixture
def context(ana: Desk, tmp_path: Path) -> Context:
    return Context(ana.me, ana.store, cast("RestApi", None), Emitter(), cast("Vault", None), tmp_path)


@pytest.fixture
def chat(ana: Desk, bruno: Desk) -> ChatId:
    return chat_of(ana.who, bruno.who)


async def until(ana: Desk, chat: ChatId) -> int:
    view = await ana.store.read(lambda tx: tx.views.chat(chat))
    assert view is not None
    return view.muted_until_ms


async def test_a_chat_is_muted_for_a_while_and_the_window_is_told(ana: Desk, context: Context, chat: ChatId) -> None:
    stream = context.emitter.stream(10)
    await Muting(context).mute(chat, 3600)
    ends = ana.me.clock.now_ms() + 3_600_000
    assert await until(ana, chat) == ends
    [changed] = [event for event in await stream.next_batch() if isinstance(event, ChatChanged)]
    assert changed.chat.muted_until_ms == ends
    assert context.keys_due.is_set(), "the other own devices are told"


async def test_a_chat_is_muted_until_that_is_taken_back(ana: Desk, context: Context, chat: ChatId) -> None:
    muting = Muting(context)
    await muting.mute(chat, None)
    assert await until(ana, chat) == MUTED_FOREVER
    await muting.unmute(chat)
    await muting.unmute(chat)
    assert await until(ana, chat) == 0


async def test_what_another_own_device_mutes_is_muted_here(ana: Desk, context: Context, chat: ChatId) -> None:
    Muting(context)

    record = SettingRecord(key=f"muted:{chat.hex()}", value=value_of(5_000), counter=9, did=Did(bytes([7] * 16)))
    stream = context.emitter.stream(10)
    await context.commit(lambda tx, out: context.settings.take(tx, out, record))
    assert await until(ana, chat) == 5_000
    changed = [event.chat for event in await stream.next_batch() if isinstance(event, ChatChanged)]
    assert [view.muted_until_ms for view in changed] == [5_000]


@pytest.mark.parametrize("for_s", [0, -1, LONGEST_S + 1])
async def test_a_length_that_makes_no_sense_is_refused(context: Context, chat: ChatId, for_s: int) -> None:
    with pytest.raises(InputError, match="timer_invalid"):
        await Muting(context).mute(chat, for_s)


async def test_a_chat_that_is_not_there_cannot_be_muted(context: Context) -> None:
    with pytest.raises(InputError, match="unknown_chat"):
        await Muting(context).mute(ChatId(bytes(16)), None)


@pytest.mark.parametrize("value", [None, b"", b"\x01", bytes(9), b"\xff" * 8])
def test_a_value_that_is_not_understood_mutes_nothing(value: bytes | None) -> None:
    assert until_of(value) == 0


@pytest.mark.parametrize("key", ["muted:", "muted:xyz", "muted:00", "muted:" + "ab" * 60])
async def test_a_key_about_no_chat_is_kept_and_ignored(ana: Desk, context: Context, key: str) -> None:
    Muting(context)
    record = SettingRecord(key=key, value=value_of(5_000), counter=1, did=Did(bytes([7] * 16)))
    await context.commit(lambda tx, out: context.settings.take(tx, out, record))
    stored = await ana.store.read(lambda tx: tx.settings.get(key))
    assert stored is not None


def test_times_survive_the_way(chat: ChatId) -> None:
    assert [until_of(value_of(at)) for at in (0, 1, MUTED_FOREVER)] == [0, 1, MUTED_FOREVER]
