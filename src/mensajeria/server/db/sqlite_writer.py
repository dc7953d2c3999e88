"""The one thread that writes to SQLite: every change goes through it, a whole batch in one transaction.

SQLite has one writer at a time. A queue in front of one connection turns waiting for its lock, with timeouts, into
waiting in line, and keeps the commit's fsync off the event loop.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

T = TypeVar("T")

PRAGMAS: Final = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # a commit that was reported survives the machine's fall, too
    "PRAGMA foreign_keys=ON",
    "PRAGMA busy_timeout=10000",  # an administrator's command may write from another process
    "PRAGMA wal_autocheckpoint=4000",
    "PRAGMA cache_size=-65536",
    "PRAGMA temp_store=MEMORY",
)


class WriterClosedError(RuntimeError):
    """The writer was closed before the job could run; nothing of it happened."""


@dataclass(slots=True)
class _Job:
    work: Callable[[sqlite3.Connection], Any]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Any]
    durable: bool


class SqliteWriter:
    """Runs functions one after the other on its own connection, each in its own transaction."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False
        self._thread: threading.Thread | None = None
        self._syncing = True

    async def run(self, work: Callable[[sqlite3.Connection], T], *, durable: bool = True) -> T:
        """Call `work` in the writer's thread between BEGIN IMMEDIATE and COMMIT; return when it is committed.

        Not `durable`: without waiting for the disk (see `Database.write`).

        What `work` raises undoes the transaction and is raised here. A cancelled caller does not stop the work.

        Raises:
            WriterClosedError: the writer is closed.
            sqlite3.Error: the file cannot be opened.
        """
        if self._closed:
            raise WriterClosedError
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="sqlite-writer", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._queue.put(_Job(work, loop, done, durable))
        return await done

    @property
    def waiting(self) -> int:
        """Jobs in line."""
        return self._queue.qsize()

    async def close(self) -> None:
        """Finish what is queued, then close the file."""
        self._closed = True
        if self._thread is not None:
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        connection: sqlite3.Connection | None = None
        while (job := self._queue.get()) is not None:
            try:
                connection = connection or self._open()
            except sqlite3.Error as error:
                _deliver(job, None, error)
            else:
                self._do(connection, job)
        if connection is not None:
            connection.close()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None)
        try:
            for pragma in PRAGMAS:
                connection.execute(pragma)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _do(self, connection: sqlite3.Connection, job: _Job) -> None:
        try:
            if job.durable is not self._syncing:  # in WAL mode: whether COMMIT brings the log to the disk
                connection.execute(f"PRAGMA synchronous={'FULL' if job.durable else 'NORMAL'}")
                self._syncing = job.durable
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = job.work(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except BaseException as error:  # noqa: BLE001 - belongs to the caller, and the thread must live on
            _deliver(job, None, error)
        else:
            _deliver(job, result, None)


def _deliver(job: _Job, result: Any, error: BaseException | None) -> None:
    """Hand the outcome to the waiting coroutine; its loop may be gone, then nobody waits."""

    def settle() -> None:
        if job.done.cancelled():
            return
        if error is not None:
            job.done.set_exception(error)
        else:
            job.done.set_result(result)

    try:
        job.loop.call_soon_threadsafe(settle)
    except RuntimeError:
        return
