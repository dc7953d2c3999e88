"""Chats in memory: what whoever waits for one is told."""

from __future__ import annotations

import asyncio
from pathlib import Path

from mensajeria.server.chats.cache import ChatCache, ChatInfo, Unread
from mensajeria.server.db.engine import Database


async def told_of_a_chat(db: Database) -> list[ChatInfo | Unread | None]:
    """What two who wait for the same chat are told."""
    cache, loop = ChatCache(db), asyncio.get_running_loop()
    told: list[asyncio.Future[ChatInfo | Unread | None]] = [loop.create_future() for _ in range(2)]
    for one in told:
        cache.when_loaded(b"c" * 32, one.set_result)
    return await asyncio.gather(*told)


async def test_a_database_that_fails_does_not_say_that_there_is_no_such_chat(tmp_path: Path) -> None:
    db = await asyncio.to_thread(Database, f"sqlite+aiosqlite:///{tmp_path / 'without-tables.db'}")
    try:
        assert await told_of_a_chat(db) == [Unread.UNREAD, Unread.UNREAD]
    finally:
        await db.close()
