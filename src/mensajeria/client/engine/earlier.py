"""Rows from before one joined, as far as the member who added one has given them (docs/protocol/e2ee.md §10).

The window is the one that the giver's message names. Rows are decided like any others and never counted as unread;
below the window nothing is asked for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from mensajeria.client.engine.chat_logs import ROWS_SLICE
from mensajeria.client.engine.context import SLICE_PAUSE_S, Context
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.session import Session
from mensajeria.client.errors import RefusedError
from mensajeria.client.store import Tx
from mensajeria.client.store.history import Window
from mensajeria.protocol import frames, limits
from mensajeria.protocol.frames import Event

_log = logging.getLogger(__name__)
LOOK_EVERY_S: Final = 60.0


class Earlier:
    """Fetches the rows of open windows, beside one connection."""

    def __init__(self, context: Context, session: Session) -> None:
        self._context = context
        self._session = session
        self._refused: set[Window] = set()
        """Whose rows the server has withheld on this connection."""

    async def run(self) -> None:
        """Whenever a window was opened or a chat accepted."""
        while True:
            self._context.earlier_due.clear()
            for window in await self._context.store.read(lambda tx: tx.windows.unfinished()):
                if window not in self._refused:
                    await self._fill(window)
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._context.earlier_due.wait()
            except TimeoutError:
                continue

    async def _fill(self, window: Window) -> None:
        await self._context.commit(lambda tx, out: self._context.given_keys.open_early(tx, out, window))
        following = window.next
        while following <= window.upto:
            events = await self._fetch(window, following)
            if events is None:
                self._refused.add(replace(window, next=following))
                return
            for start in range(0, len(events), ROWS_SLICE):
                part = events[start : start + ROWS_SLICE]
                await self._context.commit(lambda tx, out: decide(self._context, tx, out, window, part))  # noqa: B023
                await asyncio.sleep(SLICE_PAUSE_S)
            following = events[-1].seq + 1

    async def _fetch(self, window: Window, first: int) -> list[Event] | None:
        """The next rows without a gap; None when the server has them not, which is told."""
        chat_id = window.chat_id
        try:
            page = await self._session.request(
                lambda rid: frames.Fetch(rid, chat_id, first - 1, limits.MAX_FETCH_EVENTS), frames.Events
            )
        except RefusedError as error:
            _log.info("earlier rows wait: %s", error.code)
            return None
        events = [event for event in page.events if event.seq <= window.upto]
        if is_gapless(events, chat_id, first):
            return events

        def warn(tx: Tx, out: Outcome) -> None:
            out.warn(tx, "log_gap", self._context.me.clock.now_ms(), chat_id)

        await self._context.commit(warn)
        return None


def is_gapless(events: Sequence[Event], chat_id: bytes, first: int) -> bool:
    """Whether rows are of this chat and go on from `first` one by one."""
    if not events or events[0].seq != first or any(event.chat_id != chat_id for event in events):
        return False
    return all(second.seq == one.seq + 1 for one, second in pairwise(events))


def decide(context: Context, tx: Tx, out: Outcome, window: Window, events: Sequence[Event]) -> None:
    """Show rows of a window, and note that they were."""
    context.rows.apply_earlier(tx, out, window.chat_id, events)
    tx.windows.advance(window, events[-1].seq + 1)
