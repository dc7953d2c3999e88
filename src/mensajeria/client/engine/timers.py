"""Disappearing messages: which timer a chat has, when messages go, and what must not be backed up.

The rule of time: a timer runs by the wall clock, so that the time for which the program was not running counts. A wall
clock that was set back must not lengthen a life: time has passed at least as far as the monotonic clock says, and
across a restart it has not gone back at all; what is left of every timer stays the same then. A clock that was set
forward cannot be told from a machine that slept: the time counts as passed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from mensajeria.client.api import MessageChanged, MessageRemoved
from mensajeria.client.engine.kinds.telling import tell
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.store import Tx
from mensajeria.client.store.changes import Target
from mensajeria.kit.clock import Clock
from mensajeria.protocol import limits
from mensajeria.protocol.frames import Tombstone
from mensajeria.protocol.ids import ChatId, SessionId
from mensajeria.protocol.membership import ChatKind, MembershipState

_log = logging.getLogger(__name__)
LOOK_EVERY_S: Final = 30.0
"""How often the wall clock is compared with the monotonic one while a timer runs."""
SLICE: Final = 200
"""Messages removed in one transaction."""
SLICE_PAUSE_S: Final = 0.0005
_HOUR_S: Final = 3600
_TOLERANCE_MS: Final = 2000
_BY_TIMER: Final = 3
"""`Tombstone.why`."""


def timer_of(tx: Tx, chat_id: ChatId, state: MembershipState) -> int:
    """After how many seconds what is written now disappears; 0 = never."""
    return state.timer_s if state.kind is ChatKind.GROUP else tx.timers.seconds(chat_id)


def ttl_bucket(expire_s: int) -> int:
    """When the server may erase the ciphertext (see `MessageOuter`): two weeks to fetch and read it, and the timer."""
    if not expire_s:
        return 0
    return _bucket_for(-(-(expire_s + limits.TIMER_DELIVERY_S) // _HOUR_S))


def _bucket_for(hours: int) -> int:
    """The smallest with 2^(bucket-1) >= hours."""
    return (hours - 1).bit_length() + 1


def may_back_up(tx: Tx, chat_id: ChatId, state: MembershipState, session_id: SessionId) -> bool:
    """Whether a session's key may go into a backup: never while its chat has a timer, nor one that was used with it."""
    return not timer_of(tx, chat_id, state) and not tx.timers.is_timed(session_id)


def timer_may_have_elapsed(tx: Tx, state: MembershipState, tombstone: Tombstone, row_ms: int, now_ms: int) -> bool:
    """Whether an erased row may have gone by its timer, as the server says: the chat has one, the row is old enough."""
    old_enough = row_ms + limits.TIMER_DELIVERY_S * 1000 <= now_ms + limits.CLOCK_TOLERANCE_MS
    return tombstone.why == _BY_TIMER and old_enough and tx.timers.ever_set(ChatId(state.chat_id), state.timer_s)


def begin_timers(tx: Tx, out: Outcome, now_ms: int) -> None:
    """Start the clocks of what was read or sent in this transaction."""
    for message in tx.timers.begin(now_ms):
        out.events.append(MessageChanged(message, message.order))
        out.timers = True


@dataclass(slots=True)
class WallClock:
    """Notices a wall clock that was set back."""

    clock: Clock
    _wall_ms: int = 0
    _monotonic_s: float = 0.0

    def set_back_ms(self, last_known_ms: int) -> int:
        """By how much the wall clock is behind the time that has certainly passed since the last look, 0 = it is not.

        `last_known_ms` is the wall clock at the last look of an earlier run, for the first look of this one.
        """
        now, monotonic = self.clock.now_ms(), self.clock.monotonic()
        expected = last_known_ms
        if self._wall_ms:
            expected = self._wall_ms + round((monotonic - self._monotonic_s) * 1000)
        self._wall_ms, self._monotonic_s = now, monotonic
        return expected - now if expected - now > _TOLERANCE_MS else 0


class Expiry:
    """Removes messages when their time is over, whether there is a connection or not."""

    def __init__(
        self, clock: Clock, commit: Callable[[Callable[[Tx, Outcome], bool]], Awaitable[bool]], due: asyncio.Event
    ) -> None:
        self._clock = clock
        self._commit = commit
        self._due = due
        self._wall = WallClock(clock)
        self._next_ms: int | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Remove what is overdue, before anything is shown, and then whatever becomes due."""
        await self.look()
        self._task = asyncio.create_task(self._run(), name="mensajeria-timers")

    async def stop(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None

    async def look(self) -> None:
        """Remove everything that is due now."""
        while await self._commit(self._step):  # noqa: ASYNC110 - a pause between slices, no waiting
            await asyncio.sleep(SLICE_PAUSE_S)

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._patience()):
                    await self._due.wait()
            except TimeoutError:
                pass
            self._due.clear()
            try:
                await self.look()
            except Exception:  # noqa: BLE001 - a full disk must not end this for good
                _log.exception("messages that are due could not be removed")
                await asyncio.sleep(LOOK_EVERY_S)

    def _patience(self) -> float | None:
        """Seconds until the next look; None = until a timer is started."""
        if self._next_ms is None:
            return None
        return min(LOOK_EVERY_S, max(0.0, (self._next_ms - self._clock.now_ms()) / 1000))

    def _step(self, tx: Tx, out: Outcome) -> bool:
        """One slice; whether there is more to remove."""
        self._next_ms = tx.timers.next_due_ms()
        if self._next_ms is None:
            return False
        now, back = self._clock.now_ms(), self._wall.set_back_ms(tx.timers.last_look_ms())
        if back:
            tx.timers.shift(-back)
        tx.timers.looked(now)
        removed = tx.timers.remove_due(now, SLICE)
        for gone in removed:
            out.events.append(MessageRemoved(gone.chat_id, gone.mid, gone.order))
            out.touched.add(gone.chat_id)
            tell(out, tx.changes.quoting(Target(gone.chat_id, gone.sender, gone.mid)))
        self._next_ms = tx.timers.next_due_ms()
        return len(removed) == SLICE
