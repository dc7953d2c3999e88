"""What a note that a login is over means for the connections here."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog

from mensajeria.protocol.errors import Close, ProtocolError
from mensajeria.server.accounts.sessions import Authenticator
from mensajeria.server.broker.broker import EndNote
from mensajeria.server.db.failures import DATABASE_ERRORS
from mensajeria.server.realtime.connection import Connection

_log = structlog.get_logger(__name__)


class Endings:
    """Closes the connections of logins that are over.

    A note may come late, when its device has logged in anew and is connected by that: the database says which it is.
    """

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self._tasks: set[asyncio.Task[None]] = set()

    def told(self, note: EndNote, connections: Iterable[Connection]) -> None:
        """Logins of the note's devices are over; these are their connections."""
        self._authenticator.forget_devices(note.devices)
        for connection in connections:
            task = asyncio.create_task(self._end_if_over(connection, note.code), name="ended-login")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _end_if_over(self, connection: Connection, code: str) -> None:
        try:
            is_over = await self._is_over(connection)
        except DATABASE_ERRORS as error:
            _log.warning("logins_not_checked", error=type(error).__name__)
            connection.close(Close.GOING_AWAY, "the login must be checked")  # at the hello
        else:
            if is_over:
                connection.end_login(code)

    async def _is_over(self, connection: Connection) -> bool:
        assert connection.login is not None
        try:
            return (await self._authenticator.by_device(connection.login.did)).ck != connection.login.ck
        except ProtocolError:
            return True
