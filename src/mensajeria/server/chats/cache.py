"""Who is in which chat, in memory: what every message is checked against. The event that changes it invalidates it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from typing import Final

import structlog
from sqlalchemy import Connection, select

from mensajeria.server.chats.blocks import blocked_chats
from mensajeria.server.db.engine import Database
from mensajeria.server.db.failures import DATABASE_ERRORS
from mensajeria.server.db.gathered import GatheredRead
from mensajeria.server.db.schema import account
from mensajeria.server.db.schema_chats import chat, chat_member

DIRECT: Final = 0
MAX_CHATS: Final = 100_000
"""Chats kept in memory. The one loaded first goes first."""
MAX_READ: Final = 100
"""Chats in one query."""
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class ChatInfo:
    """A chat as the hot path sees it."""

    id: int
    chat_id: bytes
    kind: int
    members: dict[int, bytes]
    """account row id -> uid"""
    accepted: set[int] = field(default_factory=set)
    declined: set[int] = field(default_factory=set)
    blocked: bool = False
    """A direct chat in which one has blocked the other, or whose other account is gone: nobody writes into it."""
    audience: tuple[int, ...] = ()
    """Accounts whose devices are told about new rows: the members that have not declined."""

    def update_audience(self) -> None:
        """After a change of members or answers."""
        self.audience = tuple(member for member in self.members if member not in self.declined)


class Unread(Enum):
    """What stands for a chat that could not be read."""

    UNREAD = auto()
    """The database did not answer: whether there is such a chat is not known."""


Waiter = Callable[[ChatInfo | Unread | None], None]


class ChatCache:
    """Chats by their public id. A chat that does not exist is not remembered: it may be made at any moment."""

    def __init__(self, db: Database, *, max_chats: int = MAX_CHATS) -> None:
        self._reads: GatheredRead[bytes, ChatInfo] = GatheredRead(partial(_read, db), MAX_READ)
        self._max = max_chats
        self._chats: dict[bytes, ChatInfo] = {}
        self._waiting: dict[bytes, list[Waiter]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._reading: dict[bytes, object] = {}
        """A mark for each chat that is being read; without it, the chat has changed since the reading began."""

    def get(self, chat_id: bytes) -> ChatInfo | None:
        """The chat if it is in memory."""
        return self._chats.get(chat_id)

    async def load(self, chat_id: bytes) -> ChatInfo | None:
        """The chat, read if need be; None when there is no such chat."""
        while (known := self._chats.get(chat_id)) is None:
            mark = self._reading.setdefault(chat_id, object())
            try:
                info = await self._reads.get(chat_id)
            finally:
                unchanged = self._reading.get(chat_id) is mark
                if unchanged:
                    del self._reading[chat_id]
            if unchanged and info is None:
                return None
            if unchanged and info is not None:
                self._keep(info)
        return known

    def _keep(self, info: ChatInfo) -> None:
        if len(self._chats) >= self._max:
            del self._chats[next(iter(self._chats))]
        self._chats[info.chat_id] = info

    def is_loading(self, chat_id: bytes) -> bool:
        """True while somebody waits for the chat: who comes later waits behind, so that order is kept."""
        return chat_id in self._waiting

    def when_loaded(self, chat_id: bytes, waiter: Waiter) -> None:
        """Call `waiter` in the order of the calls: with the chat, None when there is none, UNREAD after a failure."""
        waiters = self._waiting.get(chat_id)
        if waiters is not None:
            waiters.append(waiter)
            return
        self._waiting[chat_id] = [waiter]
        task = asyncio.create_task(self._load_for_waiters(chat_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def forget(self, chat_id: bytes) -> None:
        """The chat has changed."""
        self._reading.pop(chat_id, None)
        self._chats.pop(chat_id, None)

    def clear(self) -> None:
        """Any chat may have changed."""
        self._reading.clear()
        self._chats.clear()

    async def _load_for_waiters(self, chat_id: bytes) -> None:
        info: ChatInfo | Unread | None = Unread.UNREAD
        try:
            info = await self.load(chat_id)
        except DATABASE_ERRORS as error:
            _log.warning("chat_not_read", error=type(error).__name__)
        finally:
            for waiter in self._waiting.pop(chat_id):
                waiter(info)


def read_chat(connection: Connection, chat_id: bytes) -> ChatInfo | None:
    """Read one chat with its members."""
    return read_chats(connection, (chat_id,)).get(chat_id)


def read_chats(connection: Connection, chat_ids: Sequence[bytes]) -> dict[bytes, ChatInfo]:
    """Read chats with their members, by their public ids; what does not exist is left out."""
    rows = connection.execute(
        select(chat.c.id, chat.c.chat_id, chat.c.kind, chat.c.departed).where(chat.c.chat_id.in_(chat_ids))
    ).all()
    infos = {row.id: ChatInfo(row.id, row.chat_id, row.kind, {}) for row in rows}
    if infos:
        _read_members(connection, infos)
    direct = [row.id for row in rows if row.kind == DIRECT and len(infos[row.id].members) > 1]
    closed = {row.id for row in rows if row.departed} | (blocked_chats(connection, direct) if direct else set())
    for info in infos.values():
        if info.id in closed:
            info.blocked = True
            info.accepted.clear()  # nor does either learn what the other does
        info.update_audience()
    return {info.chat_id: info for info in infos.values()}


def _read_members(connection: Connection, infos: dict[int, ChatInfo]) -> None:
    members = connection.execute(
        select(chat_member.c.chat, chat_member.c.account, account.c.uid, chat_member.c.accepted, chat_member.c.declined)
        .join(account, account.c.id == chat_member.c.account)
        .where(chat_member.c.chat.in_(infos))
        .order_by(chat_member.c.account)
    )
    for member in members:
        info = infos[member.chat]
        info.members[member.account] = member.uid
        if member.accepted:
            info.accepted.add(member.account)
        if member.declined:
            info.declined.add(member.account)


async def _read(db: Database, chat_ids: Sequence[bytes]) -> dict[bytes, ChatInfo]:
    return await db.query(lambda connection: read_chats(connection, chat_ids))
