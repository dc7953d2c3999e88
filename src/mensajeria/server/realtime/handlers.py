"""What stands behind a socket of `/ws` and of `/auth/ws`, whichever library the socket comes from."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from mensajeria.protocol import limits
from mensajeria.protocol.errors import Close
from mensajeria.server.accounts.auth_socket import IDLE_S, AuthSession
from mensajeria.server.realtime.connection import Connection
from mensajeria.server.realtime.gateway import Gateway
from mensajeria.server.realtime.wire import Wire

AUTH_WAITING: Final = 8
"""Messages that a client may send ahead on `/auth/ws`."""


class DeviceHandler:
    """`/ws`."""

    __slots__ = ("_connection", "_gateway")

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._connection: Connection | None = None

    def opened(self, wire: Wire) -> Callable[[bytes], None]:
        """The device may say hello."""
        self._gateway.sockets.add(self)
        self._connection = self._gateway.connection(wire)
        return self._connection.receive

    def refused(self) -> None:
        """A text message, or a message in several frames."""
        if self._connection is not None:
            self._connection.close(Close.MALFORMED, "one binary message is one frame")

    def gone(self) -> None:
        """The socket is gone."""
        self._gateway.socket_gone(self)
        if self._connection is not None:
            self._connection.disconnected()


class AuthHandler:
    """`/auth/ws`: one task per connection, one message after the other."""

    def __init__(self, gateway: Gateway, network: str | None) -> None:
        self._gateway = gateway
        self._network = network
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(AUTH_WAITING)
        self._task: asyncio.Task[None] | None = None
        self._wire: Wire | None = None

    def opened(self, wire: Wire) -> Callable[[bytes], None]:
        """Say who we are and wait for the first message."""
        self._wire = wire
        self._gateway.talks.add(self)
        session = self._gateway.server.auth_session(self._network)
        wire.send(session.greeting())
        self._task = asyncio.create_task(self._converse(session, wire), name="auth")
        return self._message

    def refused(self) -> None:
        """A text message, or a message in several frames."""
        self.stop(Close.MALFORMED)

    def gone(self) -> None:
        """The socket is gone."""
        self._gateway.talks.discard(self)
        if self._task is not None:
            self._task.cancel()

    def stop(self, code: Close) -> None:
        """End the conversation."""
        if self._task is not None:
            self._task.cancel()
        if self._wire is not None:
            self._wire.close(code)

    def _message(self, data: bytes) -> None:
        if len(data) > limits.MAX_AUTH_FRAME:
            self.stop(Close.TOO_BIG)
            return
        try:
            self._queue.put_nowait(data)
        except asyncio.QueueFull:
            self.stop(Close.RATE_LIMITED)

    async def _converse(self, session: AuthSession, wire: Wire) -> None:
        while True:
            try:
                data = await asyncio.wait_for(self._queue.get(), IDLE_S)
            except TimeoutError:
                wire.close(Close.HELLO_TIMEOUT, "idle")
                return
            reply = await session.on_message(data)
            for frame in reply.frames:
                wire.send(frame)
            if reply.close is not None:
                wire.close(reply.close)
                return
