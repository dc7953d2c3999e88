"""What every side of the client has: the running parts of one open account."""

from __future__ import annotations

from mensajeria.client.api import Person, Trust
from mensajeria.client.engine.context import Context
from mensajeria.client.engine.engine import Engine
from mensajeria.client.profiles import Opened
from mensajeria.client.running import Running


class Face:
    """One side of the client. Its only state is `Running`, whose parts may be made anew: ask for them each time."""

    def __init__(self, running: Running) -> None:
        self._running = running

    @property
    def me(self) -> Person:
        """The account's person."""
        return Person(self._context.me.uid, self._context.me.handle, Trust.VERIFIED)

    @property
    def _context(self) -> Context:
        return self._running.context

    @property
    def _engine(self) -> Engine:
        return self._running.engine

    @property
    def _opened(self) -> Opened:
        return self._running.opened
