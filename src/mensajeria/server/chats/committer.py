"""Sends into the logs: group commit, more tries after a lost connection, and halving when a batch is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import msgspec
import structlog

from mensajeria.server.chats import log
from mensajeria.server.chats.aside import Aside
from mensajeria.server.chats.cache import ChatInfo
from mensajeria.server.chats.group_commit import GroupCommit, Tell
from mensajeria.server.chats.log import (
    BatchRefusedError,
    ChatsLockedError,
    EventLog,
    LogUnavailableError,
    NewEvent,
    Outcome,
)

MAX_BATCH: Final = 1024
RETRIES: Final = (0.05, 0.2, 0.5, 1.0, 2.0)
"""Seconds between tries while the database is away, before the senders are told to come back later."""
_UNAVAILABLE: Final = (log.UNAVAILABLE, 0, 0)
_LOCKED: Final = (log.LOCKED, 0, 0)
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
        self._aside = Aside(self._queue.first, self._refuse)
        self._locked: frozenset[int] = frozenset()
        """Chats that were locked in the batch of now."""
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
        self._aside.close()
        await self._event_log.close()

    async def _flush(self, batch: list[Pending]) -> Tell:
        batch, later = _without_repeats(batch)
        if later:
            self._queue.first(later)
        waited = bool(self._aside)
        if waited:
            batch = await self._without_locked(batch)
        outcomes, again = await self._append_when_possible([pending.event for pending in batch])
        if self._locked:
            batch, outcomes = self._put_aside(batch, outcomes)
        return partial(self._committed, batch, outcomes, again or waited)

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
        return [_UNAVAILABLE] * len(events), False

    async def _append(self, events: list[NewEvent]) -> list[Outcome]:
        """As the log's append, but a row that the database refuses fails alone, and rows of locked chats are LOCKED."""
        if not events:
            return []
        try:
            return await self._event_log.append(events)
        except ChatsLockedError as error:
            return await self._append_others(events, error)
        except BatchRefusedError as error:
            if len(events) == 1:
                _log.error("event_refused", error=type(error.__cause__).__name__)
                return [(log.FAILED, 0, 0)]
        half = len(events) // 2
        return [*await self._append(events[:half]), *await self._append(events[half:])]

    # --- chats that another transaction keeps locked ---

    async def _append_others(self, events: list[NewEvent], error: ChatsLockedError) -> list[Outcome]:
        """Append what is not in a locked chat. When none is any more, all are tried again in a moment."""
        locked = await self._event_log.locked(events)
        if not locked:
            raise LogUnavailableError from error
        self._locked |= locked
        others = iter(await self._append([event for event in events if event.chat not in locked]))
        return [_LOCKED if event.chat in locked else next(others) for event in events]

    async def _without_locked(self, batch: list[Pending]) -> list[Pending]:
        try:
            return await self._aside.sort(batch, self._event_log)
        except LogUnavailableError:  # so is the append
            return batch

    def _put_aside(self, batch: list[Pending], outcomes: list[Outcome]) -> tuple[list[Pending], list[Outcome]]:
        """What of a batch is settled; what is locked waits."""
        _log.info("chats_locked", chats=len(self._locked), batch=len(batch))
        self._locked = frozenset()
        self._aside.put([pending for pending, outcome in zip(batch, outcomes, strict=True) if outcome is _LOCKED])
        settled = [both for both in zip(batch, outcomes, strict=True) if both[1] is not _LOCKED]
        return [pending for pending, _ in settled], [outcome for _, outcome in settled]

    def _refuse(self, batch: Sequence[Pending]) -> None:
        if batch:
            self._committed(batch, [_UNAVAILABLE] * len(batch), False)  # noqa: FBT003 - see `Committed`


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
