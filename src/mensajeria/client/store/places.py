"""Places in a timeline: a row of the log has its own, others stand behind one, what has no row yet is at the end."""

from __future__ import annotations

from mensajeria.client.store.db import Db
from mensajeria.client.store.errors import StoreMisuseError
from mensajeria.client.store.values import MAX_SEQ, ORDER_SHIFT, PENDING_BASE


def is_taken(db: Db, key: int, order: int) -> bool:
    """Whether a message stands there."""
    return db.one("SELECT 1 FROM messages WHERE chat = ? AND ord = ? LIMIT 1", key, order) is not None


def end_of(db: Db, key: int) -> int:
    """The place behind everything, for what has no row yet."""
    last = db.value("SELECT max(ord) FROM messages WHERE chat = ?", key)
    return max(PENDING_BASE, (last or 0) + 1)


def place_for(db: Db, key: int, seq: int, *, first: int) -> int:
    """First free place for row `seq` (0) or behind it (1). A row's own place is taken only when a server lies."""
    if not 0 <= seq <= MAX_SEQ:
        raise StoreMisuseError("seq out of range")
    low, high = (seq << ORDER_SHIFT) + first, (seq << ORDER_SHIFT) | ((1 << ORDER_SHIFT) - 1)
    if first == 0 and not is_taken(db, key, low):
        return low
    last = db.value("SELECT max(ord) FROM messages WHERE chat = ? AND ord BETWEEN ? AND ?", key, low, high)
    if last == high:
        raise StoreMisuseError("no place left behind this row")
    return low if last is None else last + 1
