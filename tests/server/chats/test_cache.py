"""Chats in memory: what whoever waits for one is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from mensajeria.server.chats.cache import ChatCache, ChatInfo, Unread
from mensajeria.server.db.engine import Database
from mensajeria.server.db.gathered import GatheredRead


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    """Without tables."""
    made = await asyncio.to_thread(Database, f"sqlite+aiosqlite:///{tmp_path / 'without-tables.db'}")
    yield made
    await made.close()


class Slow(ChatCache):
    """Whose reading other chats' changes overtake."""

    def __init__(self, db: Database, change: bytes, times: int) -> None:
        super().__init__(db)
        self.reads = 0

        async def read(chat_ids: Sequence[bytes]) -> dict[bytes, ChatInfo]:
            self.reads += 1
            if self.reads <= times:
                self.forget(change)
            return {chat_id: ChatInfo(self.reads, chat_id, 1, {}) for chat_id in chat_ids}

        self._reads = GatheredRead(read, 10)


async def test_a_chat_that_changes_while_it_is_read_is_read_again(db: Database) -> None:
    cache = Slow(db, b"c" * 32, 2)
    info = await cache.load(b"c" * 32)
    assert info is not None
    assert (info.id, cache.reads) == (3, 3)


async def test_a_change_of_another_chat_costs_nobody_a_second_reading(db: Database) -> None:
    """Else a server in which much happens would read the more often, the slower its reading is."""
    cache = Slow(db, b"d" * 32, 5)
    await cache.load(b"c" * 32)
    assert cache.reads == 1


async def told_of_a_chat(db: Database) -> list[ChatInfo | Unread | None]:
    """What two who wait for the same chat are told."""
    cache, loop = ChatCache(db), asyncio.get_running_loop()
    told: list[asyncio.Future[ChatInfo | Unread | None]] = [loop.create_future() for _ in range(2)]
    for one in told:
        cache.when_loaded(b"c" * 32, one.set_result)
    return await asyncio.gather(*told)


async def test_a_database_that_fails_does_not_say_that_there_is_no_such_chat(db: Database) -> None:
    assert await told_of_a_chat(db) == [Unread.UNREAD, Unread.UNREAD]
