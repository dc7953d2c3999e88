"""Uploads step by step, downloads, and the sweep of what has expired."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import structlog

from mensajeria.kit.clock import Clock
from mensajeria.protocol import limits
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.server.accounts.invites import DAY_MS
from mensajeria.server.db.engine import Database
from mensajeria.server.db.failures import DATABASE_ERRORS
from mensajeria.server.files import rows
from mensajeria.server.files.rows import FileRow
from mensajeria.server.files.storage import Storage

SWEEP_EVERY_S: Final = 600.0
FOREVER_MS: Final = 1 << 62
STEP_S: Final = 90.0
"""Seconds for the bytes of one step: it must be over before `rows.LEASE_MS` lets another one begin at its place."""
_log = structlog.get_logger(__name__)


class Files:
    """What the endpoints of files do."""

    def __init__(self, db: Database, clock: Clock, storage: Storage, *, quota: int, max_size: int, days: int) -> None:
        """`days`: how long a finished file is kept, 0 = for ever. Sizes in bytes."""
        self._db = db
        self._clock = clock
        self._storage = storage
        self._quota = quota
        self._max_size = max_size
        self._days = days
        self._sweeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to sweep now and then."""
        self._sweeper = asyncio.create_task(self._sweep_for_ever(), name="files")

    async def close(self) -> None:
        """Stop sweeping."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)

    async def create(self, account_id: int, size: int) -> FileRow:
        """Begin an upload; raises ProtocolError TOO_LARGE or QUOTA_EXCEEDED."""
        if size > self._max_size:
            raise ProtocolError(Code.TOO_LARGE, f"at most {self._max_size} bytes")
        now_ms = self._clock.now_ms()
        return await self._db.write(lambda db: rows.create(db, account_id, size, quota=self._quota, now_ms=now_ms))

    async def own(self, file_id: bytes, account_id: int) -> FileRow:
        """How far an upload of the account is; raises ProtocolError NOT_FOUND."""
        now_ms = self._clock.now_ms()
        return await self._db.query(lambda db: rows.own_file(db, file_id, account_id, now_ms))

    async def step(
        self,
        file_id: bytes,
        account_id: int,
        offset: int,
        length: int,
        chunks: AsyncIterator[bytes],
        prove: Callable[[], Awaitable[None]],
    ) -> int:
        """Take `length` bytes at `offset`; how much of the file is there then, durable.

        `prove` is called after the last byte and before they count: it raises unless the caller has signed them.

        Raises:
            ProtocolError: NOT_FOUND, UPLOAD_CONFLICT, TOO_LARGE, MALFORMED (another size), UNAVAILABLE (they took too
                long), what `prove` raises.
            StorageError: the storage failed; the upload can go on from `offset`.
        """
        lease = self._clock.now_ms()
        row = await self._db.write(lambda db: rows.begin_step(db, file_id, account_id, offset, lease))
        counted = False
        try:
            _check_length(row, offset, length)
            written = await self._storage.write(file_id, offset, _in_time(_exactly(chunks, length)))
            await prove()
            if offset + written == row.size:
                await self._storage.seal(file_id)
            now_ms = self._clock.now_ms()
            until = FOREVER_MS if self._days == 0 else now_ms + self._days * DAY_MS
            counted = await self._db.write(
                lambda db: rows.end_step(db, file_id, offset, lease, written, now_ms=now_ms, done_until=until)
            )
            if not counted:
                raise ProtocolError(Code.UPLOAD_CONFLICT)
            return offset + written
        finally:
            if not counted:
                await asyncio.shield(self._give_up(file_id, lease))

    async def _give_up(self, file_id: bytes, lease: int) -> None:
        with contextlib.suppress(*DATABASE_ERRORS):  # the lease ends by itself
            await self._db.write(lambda db: rows.give_up_step(db, file_id, lease))

    async def finished(self, file_id: bytes) -> FileRow:
        """A file to download; raises ProtocolError NOT_FOUND."""
        now_ms = self._clock.now_ms()
        return await self._db.query(lambda db: rows.finished_file(db, file_id, now_ms))

    def read(self, file_id: bytes, start: int, stop: int) -> AsyncIterator[bytes]:
        """The bytes [start, stop) of a finished file."""
        return self._storage.read(file_id, start, stop)

    async def delete(self, file_id: bytes, account_id: int) -> None:
        """Delete a file of the account; raises ProtocolError NOT_FOUND."""
        await self.own(file_id, account_id)
        now_ms = self._clock.now_ms()
        if await self._db.write(lambda db: rows.expire_now(db, file_id, now_ms)):
            await self._remove(file_id)

    async def sweep(self) -> int:
        """Remove what has expired, is unfinished for a day, or belonged to an account that is gone; how many.

        What still takes a step goes with a later sweep.
        """
        count = 0
        now_ms = self._clock.now_ms()
        while found := await self._db.query(lambda db: rows.doomed(db, now_ms)):
            for file_id in found:
                await self._remove(file_id)
            count += len(found)
        return count

    async def _remove(self, file_id: bytes) -> None:
        """The bytes first: a kill in between leaves a row that the next sweep finds, never bytes that nobody knows."""
        await self._storage.delete(file_id)
        await self._db.write(lambda db: rows.forget(db, file_id))

    async def _sweep_for_ever(self) -> None:
        while True:
            try:
                await self.sweep()
            except (*DATABASE_ERRORS, OSError) as error:
                _log.warning("files_not_swept", error=type(error).__name__)
            await asyncio.sleep(SWEEP_EVERY_S)


def _check_length(row: FileRow, offset: int, length: int) -> None:
    left = row.size - offset
    if length > min(left, limits.FILE_CHUNK_MAX):
        raise ProtocolError(Code.TOO_LARGE, f"at most {min(left, limits.FILE_CHUNK_MAX)} bytes here")
    if length < min(left, limits.FILE_CHUNK_MIN):
        raise ProtocolError(Code.MALFORMED, f"at least {min(left, limits.FILE_CHUNK_MIN)} bytes here")


async def _exactly(chunks: AsyncIterator[bytes], length: int) -> AsyncIterator[bytes]:
    """What was announced, no more and no less."""
    async for chunk in chunks:
        length -= len(chunk)
        if length < 0:
            break
        yield chunk
    if length != 0:
        raise ProtocolError(Code.MALFORMED, "the body is not as long as announced")


async def _in_time(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same, as long as they come within STEP_S: who drips bytes must not hold the file's lease."""
    until = asyncio.get_running_loop().time() + STEP_S
    while True:
        try:
            async with asyncio.timeout_at(until):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise ProtocolError(Code.UNAVAILABLE, f"the bytes took longer than {STEP_S:.0f} s") from error
        yield chunk
