"""A chat that another transaction keeps locked, in PostgreSQL: whoever writes elsewhere does not notice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import msgspec
import pytest
from sqlalchemy import select

from mensajeria.server.chats import aside, log
from mensajeria.server.chats.committer import Pending
from mensajeria.server.db.schema_chats import chat_member
from tests.server.storage.conftest import POSTGRESQL, Store, message
from tests.server.storage.test_event_log import Run, info_of, stored
from tests.support.postgres import dsn

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("database_url", POSTGRESQL, indirect=True)]
CHAT = "SELECT 1 FROM chat WHERE id = $1 FOR UPDATE"


@asynccontextmanager
async def held(database_url: str, statement: str, *arguments: object) -> AsyncIterator[asyncpg.Connection[Any]]:
    """Another transaction that keeps a row locked until the block ends."""
    connection = await asyncpg.connect(dsn(database_url))
    try:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(statement, *arguments)
        yield connection
        await transaction.rollback()
    finally:
        await connection.close()


async def until(ready: Callable[[], object], patience_s: float = 5.0) -> float:
    """Wait; how long it took."""
    began = time.monotonic()
    while not ready():
        assert time.monotonic() < began + patience_s
        await asyncio.sleep(0.005)
    return time.monotonic() - began


async def test_who_keeps_a_chat_locked_holds_up_that_chat_alone(store: Store) -> None:
    (a, chat_a), (b, chat_b), _ = store.chats
    runner, info_a, info_b = Run(store), await info_of(store, chat_a), await info_of(store, chat_b)
    runner.committer.start()
    for number in range(3):
        runner.committer.submit(Pending(message(b, 100 + number), info_b, None))
    await until(lambda: len(runner.results) == 3)
    async with held(store.url, CHAT, a):
        for number in range(5):
            runner.committer.submit(Pending(message(a, number), info_a, None))
            runner.committer.submit(Pending(message(b, number), info_b, None))
        assert await until(lambda: len(runner.results) == 8) < 1
        took = 0.0
        for number in range(5, 10):
            runner.committer.submit(Pending(message(a, number), info_a, None))
            runner.committer.submit(Pending(message(b, number), info_b, None))
            took += await until(runner.has(4 + number))
        assert took < 1, "that it is locked is known by now: none of them waits for it again"
        await asyncio.sleep(0.25)
        assert {one.chat for one, _ in runner.results} == {b}
    await until(lambda: len(runner.results) == 23)
    await runner.committer.close()
    assert {outcome[0] for _, outcome in runner.results} == {log.NEW}
    assert [one.mid for one, _ in runner.results if one.chat == a] == [message(a, n).mid for n in range(10)]
    assert [mid for _, mid in await stored(store, a)] == [message(a, n).mid for n in range(10)]


async def test_so_does_who_keeps_a_member_that_accepts_by_writing(store: Store) -> None:
    (a, chat_a), (b, chat_b), _ = store.chats
    runner, info_a, info_b = Run(store), await info_of(store, chat_a), await info_of(store, chat_b)
    account = await store.db.query(
        lambda db: db.execute(select(chat_member.c.account).where(chat_member.c.chat == a)).scalars().first()
    )
    runner.committer.start()
    async with held(store.url, "SELECT 1 FROM chat_member WHERE chat = $1 AND account = $2 FOR UPDATE", a, account):
        accepting = msgspec.structs.replace(message(a, 1), accepts=account)
        runner.committer.submit(Pending(accepting, info_a, None))
        runner.committer.submit(Pending(message(b, 1), info_b, None))
        assert await until(lambda: runner.results) < 1
        assert [one.chat for one, _ in runner.results] == [b]
    await until(lambda: len(runner.results) == 2)
    await runner.committer.close()
    assert runner.results[1][1][0] == log.NEW


async def test_who_waits_for_a_locked_chat_for_too_long_is_told_to_come_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aside, "PATIENCE_S", 0.4)
    monkeypatch.setattr(aside, "MAX_ASIDE", 3)
    a, chat_a = store.chats[0]
    runner, info = Run(store), await info_of(store, chat_a)
    runner.committer.start()
    async with held(store.url, CHAT, a):
        for number in range(5):
            runner.committer.submit(Pending(message(a, number), info, None))
        await until(lambda: len(runner.results) == 2)
        assert [one.mid for one, _ in runner.results] == [message(a, n).mid for n in (3, 4)], "more than may wait"
        await until(lambda: len(runner.results) == 5)
    assert {outcome[0] for _, outcome in runner.results} == {log.UNAVAILABLE}
    await asyncio.sleep(0.15)
    assert [outcome[0] for outcome in (await runner.more(info, [message(a, 9)]))] == [log.NEW]


async def test_a_committer_that_closes_does_not_wait_for_a_locked_chat(store: Store) -> None:
    a, chat_a = store.chats[0]
    runner, info = Run(store), await info_of(store, chat_a)
    async with held(store.url, CHAT, a):
        outcomes = await runner.send(info, [message(a, 1)])
    assert [outcome[0] for outcome in outcomes] == [log.UNAVAILABLE]
