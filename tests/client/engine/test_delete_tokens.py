"""What one own device wrote another one deletes for all, also from before a device was removed."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from mensajeria.client.engine.account_keys import put_keys
from mensajeria.client.engine.me import SETTINGS_KEY
from mensajeria.client.store import Tx
from mensajeria.crypto.message import decode_outer, delete_key, delete_token
from mensajeria.protocol.ids import ChatId, Did, Mid
from tests.client.engine.stations import Station, chat_of, station
from tests.crypto.people import Person


@dataclass
class Pair:
    """Ana's laptop and phone; she has a tablet, too."""

    laptop: Station
    phone: Station
    tablet: Did
    chat: ChatId

    async def keys(self, n: int) -> None:
        """What a login, or another own device, brings."""
        root = self.laptop.person.root
        for one in (self.laptop, self.phone):
            await one.store.run(lambda tx: put_keys(tx, n, root.backup_key(n), root.settings_key(n)))


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    ana, bruno = Person("ana"), Person("bruno")
    phone, tablet = ana.add_device(), ana.add_device()
    async with AsyncExitStack() as stack:
        first, second = [
            await stack.enter_async_context(station(ana, device, [bruno], tmp_path)) for device in (ana.device, phone)
        ]
        made = Pair(first, second, Did(tablet.did), chat_of(ana, bruno))
        for one in (first, second):
            await one.store.run(lambda tx: tx.own.remove(SETTINGS_KEY))
        await made.keys(1)
        yield made


async def has_token(at: Station, outer: bytes) -> bool:
    """Whether this device has the key whose token the server takes for a row."""
    row = decode_outer(outer)

    def tokens(tx: Tx) -> list[bytes]:
        return [delete_token(delete_key(key), row.chat_id, Mid(row.mid)) for key in at.me.settings_keys(tx)]

    return row.del_hash in {hashlib.sha256(token).digest() for token in await at.store.read(tokens)}


async def test_another_own_device_has_the_token_of_what_this_one_wrote(pair: Pair) -> None:
    (row,), _ = await pair.laptop.write(pair.chat, "mío")
    assert await has_token(pair.phone, row)


async def test_a_removal_does_not_lock_out_from_what_was_written_before(pair: Pair) -> None:
    (old,), _ = await pair.laptop.write(pair.chat, "antes")
    pair.laptop.person.remove_device(pair.tablet)
    for one in (pair.laptop, pair.phone):
        await one.learn(one.person)
    await pair.keys(2)
    (new,), _ = await pair.laptop.write(pair.chat, "después")
    assert await has_token(pair.phone, old)
    assert await has_token(pair.phone, new)


async def test_a_removed_device_has_no_token_of_what_is_written_after(pair: Pair) -> None:
    tablet_keys = await pair.phone.store.read(pair.phone.me.settings_keys)
    pair.laptop.person.remove_device(pair.tablet)
    for one in (pair.laptop, pair.phone):
        await one.learn(one.person)
    await pair.keys(2)
    (new,), _ = await pair.laptop.write(pair.chat, "después")
    row = decode_outer(new)
    tokens = [delete_token(delete_key(key), row.chat_id, Mid(row.mid)) for key in tablet_keys]
    assert row.del_hash not in {hashlib.sha256(token).digest() for token in tokens}
