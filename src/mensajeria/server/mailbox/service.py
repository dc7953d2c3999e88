"""The mailboxes as the connections use them: puts and acks in group commits, a daily allowance, expiry."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from sqlalchemy import Connection

from mensajeria.kit.clock import Clock
from mensajeria.protocol import limits
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.protocol.frames import Envelope, PutOutcome, PutTarget
from mensajeria.server.chats.group_commit import GroupCommit
from mensajeria.server.db.engine import Database
from mensajeria.server.db.failures import DATABASE_ERRORS
from mensajeria.server.mailbox import store
from mensajeria.server.mailbox.store import Put

MAX_JOBS: Final = 64
_DAY_MS: Final = 24 * 3600 * 1000
_EXPIRE_EVERY_S: Final = 3600
_log = structlog.get_logger(__name__)

Arrived = Callable[[Sequence[Put]], None]


@dataclass(slots=True)
class _PutJob:
    puts: list[Put]
    done: asyncio.Future[None]


@dataclass(slots=True)
class _AckJob:
    device: int
    ids: tuple[int, ...]


class Allowance:
    """Envelopes a day for each (sending account, receiving device). In memory: a restart forgives.

    Counted is what was stored. A name that somebody invents costs a place here only while its envelope is under way.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._day = 0
        self._used: Counter[tuple[int, bytes]] = Counter()

    def __len__(self) -> int:
        return len(self._used)

    def take(self, one: Put) -> bool:
        """Count one; False when there is none left."""
        day = self._clock.now_ms() // _DAY_MS
        if day != self._day:
            self._day = day
            self._used.clear()
        if self._used[one.sender, one.did] >= limits.MAILBOX_PER_DAY:
            return False
        self._used[one.sender, one.did] += 1
        return True

    def give_back(self, one: Put) -> None:
        """It was not stored."""
        left = self._used[one.sender, one.did] - 1
        if left > 0:
            self._used[one.sender, one.did] = left
        else:  # also when a day has begun meanwhile
            del self._used[one.sender, one.did]


class Mailboxes:
    """Puts, pages and acks. `arrived` is called with what was stored, in the order of the ids, after the commit."""

    def __init__(self, db: Database, clock: Clock, arrived: Arrived) -> None:
        self._db = db
        self._clock = clock
        self._arrived = arrived
        self.allowance: Final = Allowance(clock)
        self._queue: GroupCommit[_PutJob | _AckJob] = GroupCommit("mailbox", self._flush, max_items=MAX_JOBS)
        self._sweeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start committing and expiring."""
        self._queue.start()
        self._sweeper = asyncio.create_task(self._sweep(), name="mailbox-expiry")

    async def close(self) -> None:
        """Commit what is waiting, then stop."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        await self._queue.close()

    def __len__(self) -> int:
        """Jobs that wait."""
        return len(self._queue)

    async def put(self, sender: int, by: bytes, gen: int, targets: Sequence[PutTarget]) -> tuple[PutOutcome, ...]:
        """Put envelopes of an account's device `by`, which has counted `gen`; the outcome of each, after the commit.

        Raises:
            ProtocolError: UNAVAILABLE, the database did not take them; ROLLED_BACK, the device has counted more before.
        """
        puts = [Put(sender, target.did, target.prekey_id, target.blob, by, gen) for target in targets]
        within = [one for one in puts if self.allowance.take(one)]
        for one in puts:
            one.outcome = PutOutcome.QUOTA
        for one in within:
            one.outcome = PutOutcome.STALE
        if within:
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._queue.submit(_PutJob(within, done))
            try:
                await done
            finally:
                for one in within:
                    if one.outcome is not PutOutcome.OK:
                        self.allowance.give_back(one)
        return tuple(one.outcome for one in puts)

    async def page(self, device_id: int, after: int) -> tuple[Envelope, ...]:
        """The next envelopes of a device."""
        return await self._db.query(lambda connection: store.page(connection, device_id, after))

    def ack(self, device_id: int, ids: tuple[int, ...]) -> None:
        """Remove envelopes soon. One that stays, because the server fell, is delivered again and acked again."""
        self._queue.submit(_AckJob(device_id, ids))

    async def _flush(self, jobs: list[_PutJob | _AckJob]) -> None:
        """Puts and acks apart.

        Each locks its devices in the order of their ids; both together would not, and two processes could wait for each
        other.
        """
        puts = [job for job in jobs if isinstance(job, _PutJob)]
        acks = [job for job in jobs if isinstance(job, _AckJob)]
        if puts:
            await self._flush_puts(puts)
        if acks:
            await self._flush_acks(sorted(acks, key=lambda job: job.device))

    async def _flush_puts(self, jobs: list[_PutJob]) -> None:
        puts = [one for job in jobs for one in job.puts]
        now = self._clock.now_ms()
        try:
            await self._db.write(lambda connection: store.put(connection, puts, now))
        except DATABASE_ERRORS as error:
            _log.warning("mailbox_unavailable", error=type(error).__name__, batch=len(jobs))
            _settle(jobs, ProtocolError(Code.UNAVAILABLE, retry_after_ms=1000))
            return
        self._arrived([one for one in puts if one.outcome is PutOutcome.OK])
        old = [job for job in jobs if any(one.rolled_back for one in job.puts)]
        _settle(old, ProtocolError(Code.ROLLED_BACK))
        _settle(jobs, None)

    async def _flush_acks(self, jobs: list[_AckJob]) -> None:
        def write(connection: Connection) -> None:
            for job in jobs:
                store.ack(connection, job.device, job.ids)

        try:
            await self._db.write(write)
        except DATABASE_ERRORS as error:  # what stays is delivered again and acked again
            _log.warning("mailbox_acks_lost", error=type(error).__name__, batch=len(jobs))

    async def _sweep(self) -> None:
        while True:
            before = self._clock.now_ms() - limits.MAILBOX_DAYS * _DAY_MS
            try:
                await self._expire(before)
            except DATABASE_ERRORS as error:
                _log.warning("mailbox_expiry_failed", error=type(error).__name__)
            await asyncio.sleep(_EXPIRE_EVERY_S)

    async def _expire(self, before: int) -> None:
        removed = store.EXPIRE_ROWS
        while removed == store.EXPIRE_ROWS:
            removed = await self._db.write(lambda connection: store.expire(connection, before))


def _settle(jobs: Sequence[_PutJob], error: ProtocolError | None) -> None:
    for job in jobs:
        if job.done.done():
            continue
        if error is None:
            job.done.set_result(None)
        else:
            job.done.set_exception(error)
