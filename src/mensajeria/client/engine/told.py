"""How far this device has stored each chat, as the server is told: what others see as a second tick."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from mensajeria.protocol import frames
from mensajeria.protocol.ids import ChatId

PAUSE_S: Final = 0.2
"""Between two frames for one chat. The server gathers them for longer before it tells anybody."""


class Told:
    """A chat's position is told at once, and while more comes, every `PAUSE_S`: only the newest one counts."""

    def __init__(self, send: Callable[[frames.Cursor], None]) -> None:
        self._send = send
        self._pauses: dict[ChatId, tuple[asyncio.TimerHandle, int | None]] = {}
        """The chats that were told of lately, each with a position that came meanwhile."""

    def tell(self, chat_id: ChatId, position: int) -> None:
        """The chat is stored up to `position`."""
        if chat_id in self._pauses:
            self._pauses[chat_id] = (self._pauses[chat_id][0], position)
            return
        self._send(frames.Cursor(chat_id, position))
        timer = asyncio.get_running_loop().call_later(PAUSE_S, self._paused, chat_id)
        self._pauses[chat_id] = (timer, None)

    def _paused(self, chat_id: ChatId) -> None:
        _, position = self._pauses.pop(chat_id)
        if position is not None:
            self.tell(chat_id, position)

    def close(self) -> None:
        """Tell now what waits."""
        pauses, self._pauses = self._pauses, {}
        for chat_id, (timer, position) in pauses.items():
            timer.cancel()
            if position is not None:
                self._send(frames.Cursor(chat_id, position))
