"""Sends into the logs: group commit, more tries after a lost connection, and halving when a batch is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import structlog

from mensajeria.server.chats import log
from mensajeria.server.chats.cache import ChatInfo
from mensajeria.server.chats.group_commit import GroupCommit
from mensajeria.server.chats.log import BatchRefusedError, EventLog, LogUnavailableError, NewEvent, Outcome

MAX_BATCH: Final = 1024
RETRIES: Final = (0.05, 0.2, 0.5, 1.0, 2.0)
"""Seconds between tries while the database is away, before the senders are told to come back later."""
_log = structlog.get_logger(__name__)


class Pending(msgspec.Struct, gc=False):
    """A message on its way into the log."""

    event: NewEvent
    info: ChatInfo
    source: Any
    """Whose connection waits for the ack."""


Committed = Callable[[Sequence[Pending], Sequence[Outcome], bool], None]
"""(batch, outcomes, again). `again`: an earlier try may have stored rows that nobody heard of: KNOWN is news, too."""


class EventCommitter:
    """The one way of messages into the logs. `committed` is called after each batch, in the order of the log."""

    def __init__(self, event_log: EventLog, committed: Committed, *, max_batch: int = MAX_BATCH) -> None:
        self._event_log = event_log
        self._committed = committed
        self._queue: GroupCommit[Pending] = GroupCommit("events", self._flush, max_items=max_batch)
        self._closing = asyncio.Event()
        self.submit = self._queue.submit

    def __len__(self) -> int:
        return len(self._queue)

    def start(self) -> None:
        """Start committing."""
        self._queue.start()

    async def close(self) -> None:
        """Commit what is waiting, then stop."""
        self._closing.set()
        await self._queue.close()
        await self._event_log.close()

    async def _flush(self, batch: list[Pending]) -> None:
        batch, later = _without_repeats(batch)
        if later:
            self._queue.first(later)
        outcomes, again = await self._append_when_possible([pending.event for pending in batch])
        self._committed(batch, outcomes, again)

    async def _append_when_possible(self, events: list[NewEvent]) -> tuple[list[Outcome], bool]:
        for attempt, pause in enumerate(RETRIES):
            try:
                return await self._append(events), attempt > 0
            except LogUnavailableError as error:
                _log.warning("log_unavailable", error=repr(error.__cause__), batch=len(events))
            except Exception:  # noqa: BLE001 - whatever it was, every sender gets an answer
                _log.exception("log_failed", batch=len(events))
                break
            if self._closing.is_set():
                break
            await asyncio.sleep(pause)
        return [(log.UNAVAILABLE, 0, 0)] * len(events), False

    async def _append(self, events: list[NewEvent]) -> list[Outcome]:
        """As the log's append, but a row that the database refuses fails alone."""
        try:
            return await self._event_log.append(events)
        except BatchRefusedError as error:
            if len(events) == 1:
                _log.error("event_refused", error=type(error.__cause__).__name__)
                return [(log.FAILED, 0, 0)]
        half = len(events) // 2
        return [*await self._append(events[:half]), *await self._append(events[half:])]


def _without_repeats(batch: list[Pending]) -> tuple[list[Pending], list[Pending]]:
    """The batch with each (chat, mid) once, and the repeats: they are judged after the first is stored."""
    keys = {(pending.event.chat, pending.event.mid) for pending in batch}
    if len(keys) == len(batch):
        return batch, []
    once: list[Pending] = []
    later: list[Pending] = []
    for pending in batch:
        key = (pending.event.chat, pending.event.mid)
        if key in keys:
            keys.discard(key)
            once.append(pending)
        else:
            later.append(pending)
    return once, later
