"""Gathers updates on the client's thread, so that one signal carries many: a signal for each freezes the windows."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from mensajeria.desktop.bridge.updates import ChatsPut, MessagesPut, TransferPut, Update

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator

    from mensajeria.desktop.viewmodels.types import ChatRow, MessageRow

MAX_UPDATES: Final = 64
DELAY_S: Final = 0.008
"""Half a frame: nobody sees the wait, and what arrives together crosses together."""


class Batcher:
    """Merges rows of the same chat and delivers at most every `DELAY_S`, or at once when `MAX_UPDATES` wait.

    Belongs to the loop's thread. `deliver` gets a tuple of updates in the order in which they were put; rows are merged
    only with what stands directly before them, so that the order between pages and rows is kept.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, deliver: Callable[[tuple[Update, ...]], None]) -> None:
        self._loop = loop
        self._deliver = deliver
        self._waiting: list[Update] = []
        self._timer: asyncio.TimerHandle | None = None
        self._held: dict[str, int] = {}
        self._held_back: dict[str, list[MessagesPut]] = {}

    def put(self, update: Update) -> None:
        """Deliver soon."""
        if isinstance(update, MessagesPut) and update.chat_id in self._held:
            self._held_back.setdefault(update.chat_id, []).append(update)
            return
        last = self._waiting[-1] if self._waiting else None
        if (merged := _merge(last, update)) is not None:
            self._waiting[-1] = merged
        else:
            self._waiting.append(update)
        if len(self._waiting) >= MAX_UPDATES:
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(DELAY_S, self.flush)

    def flush(self) -> None:
        """Deliver now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting:
            batch, self._waiting = tuple(self._waiting), []
            self._deliver(batch)

    @contextmanager
    def holding(self, chat_id: str) -> Iterator[None]:
        """Keep rows of a chat back while a page of it is being read, and put them after the page.

        A page may have been read before a row that was put first; the row must not be lost under the page.
        """
        self._held[chat_id] = self._held.get(chat_id, 0) + 1
        try:
            yield
        finally:
            self._held[chat_id] -= 1
            if not self._held[chat_id]:
                del self._held[chat_id]
                for update in self._held_back.pop(chat_id, []):
                    self.put(update)


def _merge(last: Update | None, update: Update) -> Update | None:
    if isinstance(last, MessagesPut) and isinstance(update, MessagesPut) and last.chat_id == update.chat_id:
        rows: dict[str, MessageRow] = {row.key: row for row in (*last.rows, *update.rows) if row.key not in update.gone}
        return MessagesPut(last.chat_id, tuple(rows.values()), (*last.gone, *update.gone))
    if isinstance(last, TransferPut) and isinstance(update, TransferPut):
        same = (last.chat_id, last.mid) == (update.chat_id, update.mid)
        return update if same else None
    if isinstance(last, ChatsPut) and isinstance(update, ChatsPut):
        chats: dict[str, ChatRow] = {row.chat_id: row for row in (*last.rows, *update.rows)}
        kept = tuple(row for row in chats.values() if row.chat_id not in update.gone)
        back = {row.chat_id for row in update.rows}
        return ChatsPut(kept, tuple(chat for chat in (*last.gone, *update.gone) if chat not in back))
    return None
