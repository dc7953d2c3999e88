"""Whether this process should be given work. The answer is found out, not assumed."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection, text

from mensajeria.server.db.failures import DATABASE_ERRORS
from mensajeria.server.db.revision import SchemaError, require_head
from mensajeria.server.db.sqlite_writer import WriterClosedError
from mensajeria.server.state import Server

FRESH_S: Final = 1.0
"""An answer counts for so long: asking is open to everybody and must not be a way to load the database."""
PATIENCE_S: Final = 3.0
_READS: Final = text("SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on'")


class Readiness:
    """One for the process."""

    def __init__(
        self, server: Server, is_draining: Callable[[], bool], is_linked: Callable[[], bool] = lambda: True
    ) -> None:
        """`is_linked`: other processes are heard."""
        self._server = server
        self._is_linked = is_linked
        self._is_draining = is_draining
        self._one_at_a_time = asyncio.Lock()
        self._found: tuple[str, ...] = ()
        self._until = float("-inf")

    async def faults(self) -> tuple[str, ...]:
        """Why not, empty if ready: "draining", "disk", "database", "schema" or "writer"."""
        if self._is_draining():
            return ("draining",)
        async with self._one_at_a_time:
            now = asyncio.get_running_loop().time
            if now() >= self._until:
                self._found = (*await self._of_disk(), *await self._of_database())
                self._until = now() + FRESH_S
            return self._found

    def lacks(self) -> tuple[str, ...]:
        """What is away that a process which is ready can do without for a while: "redis"."""
        return () if self._is_linked() else ("redis",)

    async def _of_disk(self) -> tuple[str, ...]:
        """The data folder holds SQLite's database and uploads; a full disk refuses every message."""
        settings = self._server.settings
        try:
            free = (await asyncio.to_thread(shutil.disk_usage, settings.data_dir)).free
        except OSError:
            return ("disk",)
        return ("disk",) if free < settings.min_free_mb << 20 else ()

    async def _of_database(self) -> tuple[str, ...]:
        db = self._server.db
        try:
            async with asyncio.timeout(PATIENCE_S):
                await require_head(db, or_newer=True)
                if db.writer is not None:
                    await db.write(_nothing)
                elif await db.write(_only_reads):
                    return ("database",)
                if db.room.is_lacking:
                    await db.write(db.room.take_some)
                    db.room.is_lacking = False
        except SchemaError:
            return ("schema",)
        except WriterClosedError:
            return ("writer",)
        except (*DATABASE_ERRORS, TimeoutError):
            return ("database",)
        return ()


def _only_reads(connection: Connection) -> bool:
    """PostgreSQL takes no write: a spare that has not taken over, or one that was set to reading."""
    return bool(connection.execute(_READS).scalar_one())


def _nothing(_connection: Connection) -> None:
    """Takes the lock for writing, and gives it back."""
