"""Messages whose chat another transaction keeps locked: they wait here, so that nobody waits behind them.

All other messages of such a chat wait behind them: its order stays. They come back to the queue ten times a second, and
are asked for before they are appended; who has waited for too long is told to come back later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mensajeria.server.chats.committer import Pending
    from mensajeria.server.chats.log import EventLog

AGAIN_S: Final = 0.1
PATIENCE_S: Final = 10.0
"""After that their senders are told: nothing of the server's own keeps a chat locked for so long."""
MAX_ASIDE: Final = 4096
"""Messages; what comes on top is refused at once."""


class Aside:
    """Of one committer."""

    def __init__(self, back: Callable[[list[Pending]], None], refuse: Callable[[Sequence[Pending]], None]) -> None:
        """`back` puts messages at the head of the queue, `refuse` tells their senders to come back later."""
        self._back = back
        self._refuse = refuse
        self._waiting: dict[int, list[Pending]] = {}
        self._until: dict[int, float] = {}
        """Chats that were locked when they were asked for last, and how long their messages may wait."""
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    def __bool__(self) -> bool:
        """Whether any chat is looked at with suspicion."""
        return bool(self._until)

    def put(self, batch: Sequence[Pending]) -> None:
        """Messages of chats that are locked now, in order."""
        now = asyncio.get_running_loop().time()
        refused: list[Pending] = []
        for pending in batch:
            chat = pending.event.chat
            if self._until.setdefault(chat, now + PATIENCE_S) <= now or self._count >= MAX_ASIDE:
                refused.append(pending)
            else:
                self._waiting.setdefault(chat, []).append(pending)
                self._count += 1
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(AGAIN_S, self._come_back)
        if refused:
            self._refuse(refused)

    async def sort(self, batch: list[Pending], event_log: EventLog) -> list[Pending]:
        """What of a batch can be appended now; the rest is put here. Raises LogUnavailableError."""
        asked = [one for one in batch if one.event.chat in self._until and one.event.chat not in self._waiting]
        locked = await event_log.locked([one.event for one in asked]) if asked else frozenset()
        for one in asked:
            if one.event.chat not in locked:
                self._until.pop(one.event.chat, None)
        self.put([one for one in batch if one.event.chat in self._until])
        return [one for one in batch if one.event.chat not in self._until]

    def close(self) -> None:
        """Nobody waits any longer."""
        if self._timer is not None:
            self._timer.cancel()
        self._refuse(self._taken())

    def _come_back(self) -> None:
        """Put everything back into the queue. A chat for which nothing waits any more is one like all others."""
        self._timer = None
        self._until = {chat: until for chat, until in self._until.items() if chat in self._waiting}
        self._back(self._taken())

    def _taken(self) -> list[Pending]:
        taken = [pending for waiting in self._waiting.values() for pending in waiting]
        self._waiting.clear()
        self._count = 0
        return taken
