"""Rows of a group below the one by which one joined, that this device had never decided."""

from __future__ import annotations

from mensajeria.client.store import Tx
from mensajeria.protocol.ids import ChatId


class SkippedRows:
    """Which rows these are, looked up once in a step."""

    def __init__(self) -> None:
        self._of: dict[ChatId, range] = {}

    def begin(self) -> None:
        """A step begins."""
        self._of.clear()

    def have(self, tx: Tx, chat_id: ChatId, seq: int) -> bool:
        """Whether the cursor went past the row when one joined: it can only have come later, from a window."""
        if chat_id not in self._of:
            group = tx.groups.get(chat_id)
            self._of[chat_id] = range(0) if group is None else range(group.skipped_from, group.joined_seq)
        return seq in self._of[chat_id]

    def changed(self, chat_id: ChatId) -> None:
        """One has joined again."""
        self._of.pop(chat_id, None)
