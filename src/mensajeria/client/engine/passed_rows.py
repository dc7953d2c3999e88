"""Rows that a log did not have when this device went past them: asked for again, once a connection."""

from __future__ import annotations

from collections.abc import Sequence

from mensajeria.client.engine.context import Context
from mensajeria.client.engine.group_events import GroupEvents
from mensajeria.client.engine.log_gaps import LogGap, unfilled
from mensajeria.client.engine.session import Session
from mensajeria.client.errors import RefusedError
from mensajeria.client.store.values import MAX_SEQ
from mensajeria.protocol import frames, limits
from mensajeria.protocol.ids import ChatId


class PassedRows:
    """One connection's look at them."""

    def __init__(self, context: Context, session: Session, events: GroupEvents) -> None:
        self._context = context
        self._session = session
        self._events = events

    async def ask(self, chat_ids: Sequence[ChatId]) -> None:
        """Take in what the server has by now of the gaps in these chats. Raises ConnectionLostError."""
        for chat_id, gaps in (await self._context.store.read(lambda tx: unfilled(tx, chat_ids))).items():
            following = 0
            for gap in gaps:
                if gap.highest >= following:
                    following = await self._ask_for(chat_id, gap)

    async def _ask_for(self, chat_id: ChatId, gap: LogGap) -> int:
        """The first row that the server has there: it has none of the gaps before that."""
        limit = min(gap.highest - gap.lowest + 1, limits.MAX_FETCH_EVENTS)
        try:
            page = await self._session.request(
                lambda rid: frames.Fetch(rid, chat_id, gap.lowest - 1, limit), frames.Events
            )
        except RefusedError:
            return 0
        found = [event for event in page.events if event.chat_id == chat_id and gap.has(event.seq)]
        if found:
            await self._events.prepare(found)
            await self._context.commit(lambda tx, out: self._context.rows.apply_passed(tx, out, chat_id, found))
        return page.events[0].seq if page.events else MAX_SEQ
