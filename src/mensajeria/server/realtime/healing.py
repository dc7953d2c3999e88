"""What happens when notes of the broker may have been missed: old caches are dropped, devices catch up.

Everybody who is connected is told to come back, in small groups, so that a few at a time open and sync. That is the way
which every client knows from a restart of the server, and the only one that brings everything: rows, envelopes, heads,
device lists, ticks, and the end of logins.

While the broker is away, nothing cached is older than a second, and ended logins are looked for in the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog
from sqlalchemy import Connection as SqlConnection
from sqlalchemy import select

from mensajeria.protocol.errors import Close, Code
from mensajeria.protocol.frames import Drain
from mensajeria.server.accounts.tokens import channel_key_id
from mensajeria.server.broker.broker import Broker, EndNote
from mensajeria.server.db.engine import Database
from mensajeria.server.db.failures import DATABASE_ERRORS
from mensajeria.server.db.schema import ACTIVE, account, device
from mensajeria.server.realtime.connection import Connection
from mensajeria.server.realtime.hub import Hub

SETTLE_S: Final = 1.0
"""From the first sign of something missed until connections are closed: time for all processes to be back."""
STEP_S: Final = 0.1
STEPS: Final = 30
"""All connections are closed within STEPS * STEP_S."""
WATCH_S: Final = 1.0
ROWS: Final = 500
_log = structlog.get_logger(__name__)


class Healing:
    """One for the process."""

    def __init__(self, hub: Hub, broker: Broker, db: Database, forget_all: Callable[[], None]) -> None:
        """`forget_all` drops what is cached."""
        self._hub = hub
        self._broker = broker
        self._db = db
        self._forget_all = forget_all
        self._missed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def missed(self) -> None:
        """Notes may have been lost."""
        self._forget_all()
        self._missed.set()

    def start(self) -> None:
        """Begin to watch."""
        self._tasks = [asyncio.create_task(self._heal(), name="heal"), asyncio.create_task(self._watch(), name="watch")]

    async def close(self) -> None:
        """Stop."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _heal(self) -> None:
        while True:
            await self._missed.wait()
            await asyncio.sleep(SETTLE_S)
            self._missed.clear()
            self._forget_all()
            connections = self._hub.admitted()
            _log.info("connections_catch_up", count=len(connections))
            await self._send_back(connections)

    @staticmethod
    async def _send_back(connections: list[Connection]) -> None:
        size = -(-len(connections) // STEPS)
        for start in range(0, len(connections), max(1, size)):
            for connection in connections[start : start + size]:
                if connection.device_id:  # the others wait for a welcome, and for nothing else
                    connection.send(Drain(0))
                connection.close(Close.DRAIN)
            await asyncio.sleep(STEP_S)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            if not self._broker.is_linked:
                self._forget_all()
                await self._end_what_has_ended()

    async def _end_what_has_ended(self) -> None:
        """Close the connections whose login another process has ended."""
        connections = self._hub.admitted()
        for start in range(0, len(connections), ROWS):
            part = [one.login for one in connections[start : start + ROWS] if one.login is not None]
            ids = tuple({login.device_id for login in part})
            try:
                keys = await self._db.query(lambda db, ids=ids: _live_keys(db, ids))  # type: ignore[misc]
            except DATABASE_ERRORS as error:
                _log.warning("logins_not_checked", error=type(error).__name__)
                return
            ended = tuple(login.device_id for login in part if keys.get(login.device_id) != channel_key_id(login.ck))
            if ended:
                self._hub.end(EndNote(ended, Code.LOGIN_REVOKED))


def _live_keys(db: SqlConnection, device_ids: tuple[int, ...]) -> dict[int, bytes | None]:
    """The channel keys (by id) of those devices that may be connected."""
    rows = db.execute(
        select(device.c.id, device.c.ck_id)
        .join(account, account.c.id == device.c.account_id)
        .where(device.c.id.in_(device_ids), device.c.revoked_ms.is_(None), account.c.status == ACTIVE)
    )
    return {row.id: row.ck_id for row in rows}
