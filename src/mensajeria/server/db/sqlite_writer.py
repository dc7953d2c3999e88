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

from sqlalchemy import Connection, Engine, StaticPool, create_engine

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


class SqliteWriter:
    """Runs functions one after the other on its own connection, each in its own transaction."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False
        self._engine: Engine | None = None
        self._opened = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="sqlite-writer", daemon=True)

    async def open(self) -> None:
        """Start the thread and open the file.

        Raises:
            sqlite3.Error: the file cannot be opened or is no database.
        """
        self._thread.start()
        await asyncio.to_thread(self._opened.wait)
        if self._failure is not None:
            raise self._failure

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Call `work` in the writer's thread between BEGIN IMMEDIATE and COMMIT; return when it is committed.

        What `work` raises undoes the transaction and is raised here. A cancelled caller does not stop the work.

        Raises:
            WriterClosedError: the writer is closed.
        """
        if self._closed:
            raise WriterClosedError
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._queue.put(_Job(work, loop, done))
        return await done

    async def run_sql(self, work: Callable[[Connection], T]) -> T:
        """As `run`, with a SQLAlchemy connection on the same transaction. `work` neither commits nor rolls back."""

        def call(raw: sqlite3.Connection) -> T:
            with self._sqlalchemy(raw).connect() as connection:
                return work(connection)

        return await self.run(call)

    async def close(self) -> None:
        """Finish what is queued, then close the file."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        if self._thread.ident is not None:
            await asyncio.to_thread(self._thread.join)

    def _sqlalchemy(self, raw: sqlite3.Connection) -> Engine:
        if self._engine is None:
            self._engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)
            # The transaction is the writer's own: SQLAlchemy must not end it when it gives the connection back.
            for name in ("do_begin", "do_commit", "do_rollback"):
                setattr(self._engine.dialect, name, lambda _connection: None)
        return self._engine

    def _run(self) -> None:
        try:
            connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            for pragma in PRAGMAS:
                connection.execute(pragma)
        except BaseException as error:  # noqa: BLE001 - raised in open()
            self._failure = error
            self._opened.set()
            return
        self._opened.set()
        try:
            while (job := self._queue.get()) is not None:
                self._do(connection, job)
        finally:
            self._refuse_the_rest()
            connection.close()

    def _do(self, connection: sqlite3.Connection, job: _Job) -> None:
        try:
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

    def _refuse_the_rest(self) -> None:
        while not self._queue.empty():
            job = self._queue.get()
            if job is not None:
                _deliver(job, None, WriterClosedError())


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
