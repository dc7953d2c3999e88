"""The broker of a server that is one process: a note is delivered in the call that publishes it."""

from __future__ import annotations

from collections.abc import Callable

from mensajeria.server.broker.broker import Deliver, Listener, Note


def _nobody(_note: Note) -> None:
    """Before the start and after the end."""


class MemoryBroker:
    """See `Broker`."""

    is_linked = True

    def __init__(self) -> None:
        self.publish: Deliver = _nobody
        self.flush: Callable[[], None] = _nothing

    async def start(self, listener: Listener) -> None:
        """See `Broker.start`."""
        self.publish = listener.deliver
        self.flush = listener.delivered

    async def announce(self, account: int, device: int) -> None:
        """See `Broker.announce`. There is nobody to tell."""

    def withdraw(self, account: int, device: int) -> None:
        """See `Broker.withdraw`. There is nobody to tell."""

    async def close(self) -> None:
        """See `Broker.close`."""
        self.publish = _nobody
        self.flush = _nothing


def _nothing() -> None:
    """No one to tell."""
