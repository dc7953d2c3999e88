"""The one thread that owns the connection. What waits when it turns to its queue shares one commit.

Each job runs in its own savepoint: it applies as a whole or not at all, whatever happens to its neighbours, and its
result is delivered only after the commit. Nothing is reported as stored that a crash could take away.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from sqlcipher3 import dbapi2

from mensajeria.client.errors import ProfileError
from mensajeria.client.store.db import Db
from mensajeria.client.store.fulltext import index_new
from mensajeria.client.store.tx import Tx

MAX_JOBS: Final = 256
"""Jobs that share a commit at most."""
MAX_GROUP_S: Final = 0.02
"""A group takes no further job after this time, so that a waiting read is not held up by a long catch-up."""


@dataclass(slots=True)
class Job:
    """A function to run in a transaction, and where its outcome goes."""

    function: Callable[[Tx], Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    writes: bool
    result: Any = None
    error: BaseException | None = field(default=None)

    def deliver(self) -> None:
        """Runs in the caller's loop. A caller that was cancelled meanwhile gets nothing; the commit stands."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class Owner:
    """Runs jobs in its thread until `stop`."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="mensajeria-store", daemon=True)
        self._open: Callable[[], dbapi2.Connection] | None = None
        self._opened: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | None = None
        self._connection: dbapi2.Connection | None = None

    async def start(self, open_connection: Callable[[], dbapi2.Connection]) -> None:
        """Start the thread and open the connection in it; raises what `open_connection` raises."""
        loop = asyncio.get_running_loop()
        self._open, self._opened = open_connection, (loop, loop.create_future())
        self._thread.start()
        await self._opened[1]

    def put(self, job: Job) -> None:
        """Queue a job."""
        self._queue.put(job)

    async def stop(self) -> None:
        """Let the thread finish what is queued, close the connection and end. Harmless when it has ended."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    # --- in the thread ---

    def _run(self) -> None:
        if not self._start_connection():
            return
        try:
            stopped = False
            while not stopped:
                jobs, stopped = self._gather()
                if jobs:
                    self._commit_group(jobs)
        finally:
            self._close_connection()

    def _start_connection(self) -> bool:
        assert self._open is not None and self._opened is not None  # noqa: PT018 - `start` sets both
        loop, future = self._opened
        try:
            self._connection = self._open()
        except BaseException as error:  # noqa: BLE001 - handed to whoever awaits `start`
            loop.call_soon_threadsafe(_fail, future, error)
            return False
        loop.call_soon_threadsafe(_succeed, future)
        return True

    def _gather(self) -> tuple[list[Job], bool]:
        """Wait for a job, then take what else is there: the jobs, and whether the end was asked for."""
        jobs: list[Job] = []
        job = self._queue.get()
        while job is not None:
            jobs.append(job)
            if len(jobs) == MAX_JOBS:
                return jobs, False
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                return jobs, False
        return jobs, True

    def _commit_group(self, jobs: list[Job]) -> None:
        """Run the jobs in as few transactions as the time limit allows, and deliver after each commit."""
        start = 0
        while start < len(jobs):
            end = self._run_some(jobs, start)
            _deliver(jobs[start:end])
            start = end

    def _run_some(self, jobs: list[Job], start: int) -> int:
        """One transaction from `jobs[start]` on; the index after its last job."""
        group: list[Job] = []
        try:
            self._sql("BEGIN IMMEDIATE" if any(job.writes for job in jobs[start:]) else "BEGIN")
            deadline = time.monotonic() + MAX_GROUP_S
            for job in jobs[start:]:
                group.append(job)
                if not self._run_job(job, alone=len(jobs) == 1):
                    raise ProfileError("store_failed", "the transaction was lost")  # noqa: TRY301 - ends like a failed commit
                if time.monotonic() > deadline:
                    break
            self._index()
            self._sql("COMMIT")
        except (dbapi2.Error, ProfileError) as error:
            self._give_up(group or jobs[start : start + 1], error)
        return start + max(1, len(group))

    def _run_job(self, job: Job, *, alone: bool) -> bool:
        """Run one job; False when SQLite gave up the whole transaction (disk full, I/O error).

        A job that shares its commit runs in a savepoint, one that is alone has the transaction itself.
        """
        connection = self._connected()
        if not alone:
            self._sql("SAVEPOINT job")
        db = Db(connection)
        try:
            job.result = job.function(Tx(db))
        except BaseException as error:  # noqa: BLE001 - handed to whoever awaits the job
            job.error = error
            if not connection.in_transaction:
                return False
            for statement in ("ROLLBACK", "BEGIN") if alone else ("ROLLBACK TO job",):
                self._sql(statement)
        finally:
            db.end()
        if not alone:
            self._sql("RELEASE job")
        return True

    def _index(self) -> None:
        db = Db(self._connected())
        index_new(db)
        db.end()

    def _give_up(self, group: list[Job], error: BaseException) -> None:
        """Nothing of the group was stored, and everyone in it is told so."""
        if self._connected().in_transaction:
            self._sql("ROLLBACK")
        for job in group:
            if job.error is None:
                job.error = error if isinstance(error, ProfileError) else ProfileError("store_failed", str(error))

    def _sql(self, statement: str) -> None:
        self._connected().execute(statement)

    def _connected(self) -> dbapi2.Connection:
        assert self._connection is not None
        return self._connection

    def _close_connection(self) -> None:
        connection = self._connected()
        # A full disk must not keep the store from closing: the write-ahead log holds everything.
        with contextlib.suppress(dbapi2.Error):
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        self._connection = None


def _deliver(jobs: list[Job]) -> None:
    """Hand the outcomes over: one wake-up for each loop and not for each job."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Job]] = {}
    for job in jobs:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, its in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_deliver_all, its)


def _deliver_all(jobs: list[Job]) -> None:
    for job in jobs:
        job.deliver()


def _succeed(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _fail(future: asyncio.Future[None], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
