"""The link to the server, what happens on it, and the end."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from mensajeria.client.api import ConnectionChanged, ConnectionPhase, Health, Transfer
from mensajeria.client.awaiting import wait_sent
from mensajeria.client.engine.emitter import QUEUE_LIMIT, EventStream
from mensajeria.client.engine.health import health_of
from mensajeria.client.face.base import Face
from mensajeria.protocol.ids import Mid


class Connection(Face):
    """Events, the connection's state, and closing."""

    @property
    def phase(self) -> ConnectionPhase:
        """State of the link to the server."""
        return self._engine.phase

    @property
    def connection(self) -> ConnectionChanged | None:
        """The newest `ConnectionChanged`, for who listens only now; None before the first."""
        return self._engine.told

    async def health(self) -> Health:
        """What of the messages and keys does not work on this device; needs no network."""
        return await self._context.store.read(health_of)

    def events(self, limit: int = QUEUE_LIMIT) -> EventStream:
        """Everything from now on: `async for event in client.events()`. Each call gives a consumer its own queue."""
        return self._running.emitter.stream(limit)

    @property
    def transfers(self) -> tuple[Transfer, ...]:
        """Files on their way now; `TransferProgress` tells how they go on."""
        return self._engine.transfers.running

    async def caught_up(self) -> None:
        """Wait until everything the server has for this device is stored. Raises StateError when that cannot be."""
        await self._running.caught_up()

    def retry_now(self) -> None:
        """Connect now instead of after the wait."""
        self._engine.retry_now()

    async def wait_sent(self, mid: Mid) -> None:
        """Wait until the server has stored an own message.

        Raises:
            MessageFailedError: it was refused for good; `code` tells why.
            SendBlockedError: a verified contact's identity changed.
            StateError: login_ended, rolled_back, ...: nothing is sent any more.
        """
        stream = self.events()
        try:
            await wait_sent(self._context, self._engine, stream, mid)
        finally:
            stream.close()

    # --- the end ---

    async def erase(self) -> None:
        """Take everything of the profile away from this computer, its key too, and close. Needs no network.

        What only this device has is gone: keys that are in no backup, what waits to be sent. The account does not
        change; the device stays in its list until another one removes it. Raises ProfileError (store_failed),
        StateError (closed).
        """
        await self._running.erase()

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._running.is_closed

    async def close(self) -> None:
        """Disconnect and close the profile. What is queued stays queued. May be called twice.

        Who is cancelled meanwhile leaves it to end by itself: a folder that is closed by half would stay locked.
        """
        await self._running.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
