"""The logs of the chats during one connection: what is fetched, applied and passed over, one after the other.

`core.chatlog` decides what is to be done, `ChatLogs` does it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

from mensajeria.client.core import chatlog
from mensajeria.client.core.chatlog import ChatLog
from mensajeria.client.engine.context import SLICE_PAUSE_S, Context
from mensajeria.client.engine.group_events import GroupEvents
from mensajeria.client.engine.log_gaps import pass_over
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.session import Session
from mensajeria.client.engine.told import Told
from mensajeria.client.errors import RefusedError
from mensajeria.client.store import Tx
from mensajeria.client.store.values import MAX_SEQ
from mensajeria.protocol import frames, limits
from mensajeria.protocol.frames import Ack, BatchItem, Event
from mensajeria.protocol.ids import ChatId

ROWS_SLICE: Final = 64
"""Rows that are taken in between two pauses of the loop."""


class ChatLogs:
    """Where this device stands in each log."""

    def __init__(self, context: Context, events: GroupEvents, session: Session) -> None:
        self._context = context
        self._events = events
        self._session = session
        self._told = Told(session.send)
        self._logs: dict[ChatId, ChatLog] = {}

    async def begin(self) -> None:
        """Every stored chat goes on from its cursor."""
        for chat in await self._context.store.read(lambda tx: tx.chats.all()):
            self._logs[chat.chat_id] = ChatLog(chat.chat_id, chat.cursor, chat.cursor)

    def close(self) -> None:
        """Tell the server what it was not told yet."""
        self._told.close()

    def forget(self, chat_id: ChatId) -> None:
        """It begins at another place from now on."""
        self._logs.pop(chat_id, None)

    async def find(self, chat_id: ChatId) -> ChatLog | None:
        """Where this device stands in a chat's log; None for a chat that is not stored."""
        if chat_id not in self._logs:
            chat = await self._context.store.read(lambda tx: tx.chats.get(chat_id))
            if chat is None:
                return None
            self._logs[chat_id] = ChatLog(chat_id, chat.cursor, chat.cursor)
        return self._logs[chat_id]

    def move_cursor(self, tx: Tx, chat_id: ChatId) -> None:
        """Keep how far the log has come."""
        log, chat = self._logs.get(chat_id), tx.chats.get(chat_id)
        if log is not None and chat is not None and log.position > chat.cursor:
            tx.chats.advance_cursor(chat_id, log.position)

    async def tell_delivered(self, log: ChatLog, known: int) -> None:
        """Tell the server how far this device is, if it does not know and may."""
        chat_id = ChatId(log.chat_id)
        if known < log.position and await self._shows_delivered(chat_id):
            self._told.tell(chat_id, log.position)

    async def level(self, chat_id: ChatId) -> None:
        """Fetch a log to its end, unless that is under way."""
        log = self._logs.get(chat_id)
        if log is not None and not log.fetching:
            log.fetching = True
            await self.perform([chatlog.Fetch(chat_id, log.position)])

    async def perform(self, effects: Sequence[chatlog.Effect]) -> None:
        """Do what a log wants done, and what follows from it."""
        todo = deque(effects)
        while todo:
            effect = todo.popleft()
            if isinstance(effect, chatlog.Apply):
                await self._apply(ChatId(effect.chat_id), effect.events)
            elif isinstance(effect, chatlog.Fetch):
                todo.extend(await self._fetch(effect))
            elif isinstance(effect, chatlog.Pass):
                await self._pass_over(effect)
            else:
                await self._violation(effect)

    async def _apply(self, chat_id: ChatId, events: Sequence[Event]) -> None:
        log = self._logs[chat_id]
        await self._events.prepare(events)
        told = True
        for start in range(0, len(events), ROWS_SLICE):
            part = events[start : start + ROWS_SLICE]
            upto = log.position if start + ROWS_SLICE >= len(events) else part[-1].seq

            def step(tx: Tx, out: Outcome) -> bool:
                self._context.rows.apply(tx, out, chat_id, part, upto)  # noqa: B023 - run at once
                return self._context.memberships.shows_delivered(tx, chat_id)

            told = await self._context.commit(step)
            if len(events) > ROWS_SLICE:
                await asyncio.sleep(SLICE_PAUSE_S)
        if told:
            self._told.tell(chat_id, log.position)

    async def _shows_delivered(self, chat_id: ChatId) -> bool:
        return await self._context.store.read(lambda tx: self._context.memberships.shows_delivered(tx, chat_id))

    async def _fetch(self, effect: chatlog.Fetch) -> list[chatlog.Effect]:
        chat_id = effect.chat_id
        try:
            page = await self._session.request(
                lambda rid: frames.Fetch(rid, chat_id, effect.after, limits.MAX_FETCH_EVENTS), frames.Events
            )
        except RefusedError:
            self._logs[ChatId(chat_id)].disconnected()
            return []
        events = [event for event in page.events if is_possible(event)]
        return self._logs[ChatId(chat_id)].fetched(events, min(page.last_seq, MAX_SEQ))

    async def _pass_over(self, effect: chatlog.Pass) -> None:
        chat_id, me = ChatId(effect.chat_id), self._context.me
        await self._context.commit(lambda tx, out: pass_over(tx, out, me, chat_id, effect.first, effect.upto))

    async def _violation(self, effect: chatlog.Violation) -> None:
        def step(tx: Tx, out: Outcome) -> None:
            out.warn(tx, effect.code, self._context.me.clock.now_ms(), ChatId(effect.chat_id))

        await self._context.commit(step)


def is_possible(item: BatchItem) -> bool:
    """Whether its row number is one that a log reaches."""
    return not isinstance(item, Ack | Event) or 0 < item.seq <= MAX_SEQ


def joined(effects: Sequence[chatlog.Effect]) -> list[chatlog.Effect]:
    """Rows of a chat that follow each other become one step; fetches come last."""
    rows: dict[bytes, list[Event]] = {}
    for effect in effects:
        if isinstance(effect, chatlog.Apply):
            rows.setdefault(effect.chat_id, []).extend(effect.events)
    others = [effect for effect in effects if not isinstance(effect, chatlog.Apply)]
    return [*(chatlog.Apply(chat_id, tuple(events)) for chat_id, events in rows.items()), *others]
