"""Paging through the heads of many chats, while they change."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from sqlalchemy import Connection, delete, select, update

from mensajeria.server.chats.heads import Viewer, heads_page
from mensajeria.server.db.schema_chats import chat, chat_member
from tests.server.people import insert_group
from tests.server.storage.conftest import Store, void

CHATS, PAGE = 25, 4


async def pages(store: Store, between: Callable[..., None]) -> tuple[list[bytes], list[bytes]]:
    """Somebody's groups, and what a device is told that pages through them; `between` happens after each page."""
    ana = store.people[3]
    groups = [random.randbytes(32) for _ in range(CHATS)]

    def make(db: Connection) -> None:
        for group in groups:
            insert_group(db, group, [ana])

    await store.db.write(make)
    seen: list[bytes] = []
    after, more = b"", True
    while more:
        heads, more = await heads_page(store.db, Viewer(ana.account_id, ana.device_id), after, PAGE)
        assert 0 < len(heads) <= PAGE
        seen += [head.chat_id for head in heads]
        after = max(head.chat_id for head in heads)
        await store.db.write(partial(between, told=list(seen)))
    return sorted(groups), sorted(seen)


async def test_each_chat_comes_once_however_they_move(store: Store) -> None:
    def write_somewhere(db: Connection, told: list[bytes]) -> None:
        db.execute(update(chat).values(last_ms=(chat.c.id * 977 + len(told) * 31) % 101))

    groups, seen = await pages(store, write_somewhere)
    assert seen == groups


async def test_none_is_passed_over_when_others_are_left(store: Store) -> None:
    def leave(db: Connection, told: list[bytes]) -> None:
        left = select(chat.c.id).where(chat.c.chat_id.in_(told[-2:]))
        db.execute(delete(chat_member).where(chat_member.c.chat.in_(left)))

    groups, seen = await pages(store, leave)
    assert seen == groups


async def test_a_page_begins_with_what_was_written_last(store: Store) -> None:
    one = store.people[0]
    newest, other = store.chats[0][1], store.chats[1][1]
    change = update(chat).where(chat.c.chat_id == newest).values(last_ms=1 << 50)
    await store.db.write(lambda db: void(db.execute(change)))
    heads, more = await heads_page(store.db, Viewer(one.account_id, one.device_id), b"", 10)
    assert ([head.chat_id for head in heads], more) == ([newest, other], False)
