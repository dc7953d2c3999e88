"""Which files are on their way, for whoever shows it."""

from __future__ import annotations

import time
from typing import Final

from mensajeria.client.api import Direction, Transfer, TransferProgress
from mensajeria.client.engine.emitter import Emitter
from mensajeria.protocol.ids import ChatId, Mid

TELL_EVERY_S: Final = 0.1


class Transfers:
    """Counts, and tells not too often."""

    def __init__(self, emitter: Emitter) -> None:
        self._emitter = emitter
        self._now: dict[tuple[ChatId, Mid, Direction], tuple[Transfer, float]] = {}

    @property
    def running(self) -> tuple[Transfer, ...]:
        """Those under way, in the order in which they began."""
        return tuple(transfer for transfer, _ in self._now.values())

    def at(self, transfer: Transfer) -> None:
        """A file has come so far."""
        key, now = (transfer.chat_id, transfer.mid, transfer.direction), time.monotonic()
        _, told = self._now.get(key, (transfer, 0.0))
        if transfer.finished:
            self._now.pop(key, None)
        elif now - told < TELL_EVERY_S:
            self._now[key] = (transfer, told)
            return
        else:
            self._now[key] = (transfer, now)
        self._emitter.emit(TransferProgress(transfer))

    def over(self, chat_id: ChatId, mid: Mid, direction: Direction) -> None:
        """It ended before its end, or waits."""
        self._now.pop((chat_id, mid, direction), None)
