"""Rows that the server's log does not have: marked, passed over, asked for again, and taken in where they come later.

Nothing of what follows is believed for that: a message names the membership event that it needs and its place in its
session, so what was in the gap is missed where it matters; and membership events are fetched by their own numbers.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from mensajeria.client.api import Cause, Message, MessageChanged, MessageReceived
from mensajeria.client.core.chatlog import MAX_PASSED
from mensajeria.client.engine.me import Me
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.row_display import place_id, remove, somebody
from mensajeria.client.store import Tx
from mensajeria.protocol.ids import ChatId

STRETCH: Final = 1024
"""Rows of a gap; a larger hole is several, one behind the other."""
MAX_GAPS: Final = MAX_PASSED // STRETCH
"""Gaps of a chat that are remembered; of more the latest."""
_MASK: Final = STRETCH // 8
_RECORD: Final = struct.Struct(f">QH{_MASK}s")


@dataclass(frozen=True, slots=True)
class LogGap:
    """Rows that the cursor went past without having them. It stays known of them when they have come, too."""

    first: int
    size: int
    missing: int
    """A bit for each row that is not here yet, the lowest for `first`."""

    def has(self, seq: int) -> bool:
        """Whether the row is one of these."""
        return self.first <= seq < self.first + self.size

    @property
    def lowest(self) -> int:
        """The first row that is not here."""
        return self.first + (self.missing & -self.missing).bit_length() - 1

    @property
    def highest(self) -> int:
        """The last row that is not here."""
        return self.first + self.missing.bit_length() - 1


def unfilled(tx: Tx, chat_ids: Sequence[ChatId]) -> dict[ChatId, tuple[LogGap, ...]]:
    """The gaps of these chats in which rows are missing."""
    found = tx.meta.some([_name(chat_id) for chat_id in chat_ids])
    gaps = {chat_id: _decode(found.get(_name(chat_id))) for chat_id in chat_ids}
    return {chat_id: still for chat_id, of in gaps.items() if (still := tuple(gap for gap in of if gap.missing))}


def is_passed(tx: Tx, chat_id: ChatId, seq: int) -> bool:
    """Whether the cursor went past the row's place without it."""
    return any(gap.has(seq) for gap in _gaps(tx, chat_id))


def is_missing(tx: Tx, chat_id: ChatId, seq: int) -> bool:
    """Whether it did, and the row has not come since."""
    return any(gap.has(seq) and gap.missing >> (seq - gap.first) & 1 for gap in _gaps(tx, chat_id))


def pass_over(tx: Tx, out: Outcome, me: Me, chat_id: ChatId, first: int, upto: int) -> None:
    """Mark the rows as missing and move the cursor behind them."""
    chat = tx.chats.get(chat_id)
    if chat is None or upto <= chat.cursor:
        return
    _put(tx, chat_id, [*_gaps(tx, chat_id), *_stretches(first, upto)])
    notice = tx.messages.notice(
        chat_id,
        after_seq=first - 1,
        mid=place_id(chat_id, first, b"gap"),
        about=somebody(tx, chat_id),
        cause=Cause.MISSING,
        at_ms=me.clock.now_ms(),
        params={"count": str(upto - first + 1)},
    )
    if notice is not None:
        out.events.append(MessageReceived(notice))
    tx.chats.advance_cursor(chat_id, upto)
    out.touched.add(chat_id)


def explained(tx: Tx, out: Outcome, chat_id: ChatId, before: int, count: int) -> None:
    """So many messages from before this row are told as missing by name: the gaps before it tell of so many less."""
    gaps = _gaps(tx, chat_id)
    for at in reversed(range(len(gaps))):
        if gaps[at].first < before and count > 0:
            count -= _less(tx, out, chat_id, gaps[: at + 1], count)


def came(tx: Tx, out: Outcome, chat_id: ChatId, seq: int, *, told_elsewhere: bool) -> None:
    """A missing row is here after all. `told_elsewhere`: another notice had told of it, by name."""
    gaps = _gaps(tx, chat_id)
    for at, gap in enumerate(gaps):
        if gap.has(seq):
            gaps[at] = replace(gap, missing=gap.missing & ~(1 << (seq - gap.first)))
            if not told_elsewhere:
                _less(tx, out, chat_id, gaps[: at + 1], 1)
    _put(tx, chat_id, gaps)


def forget_behind(tx: Tx, chat_id: ChatId, fork: int) -> None:
    """The log goes on anew behind that row."""
    kept = [(gap, min(gap.size, fork - gap.first + 1)) for gap in _gaps(tx, chat_id) if gap.first <= fork]
    _put(tx, chat_id, [LogGap(gap.first, size, gap.missing & ((1 << size) - 1)) for gap, size in kept])


def _stretches(first: int, upto: int) -> list[LogGap]:
    sizes = [(start, min(STRETCH, upto - start + 1)) for start in range(first, upto + 1, STRETCH)]
    return [LogGap(start, size, (1 << size) - 1) for start, size in sizes]


def _notice(tx: Tx, chat_id: ChatId, gaps: Sequence[LogGap]) -> Message | None:
    """What tells of the last of these gaps: it stands at the first stretch of its hole."""
    for at in reversed(range(len(gaps))):
        found = tx.messages.find(chat_id, place_id(chat_id, gaps[at].first, b"gap"))
        if found is not None:
            return found
        if at == 0 or gaps[at - 1].size < STRETCH or gaps[at - 1].first + STRETCH != gaps[at].first:
            return None
    return None


def _less(tx: Tx, out: Outcome, chat_id: ChatId, gaps: Sequence[LogGap], count: int) -> int:
    """Take up to `count` from what the last gap's notice says; how many that were."""
    notice = _notice(tx, chat_id, gaps)
    if notice is None:
        return 0
    left = int(notice.params["count"]) - count
    if left < 1:
        remove(tx, out, chat_id, notice.order)
        return count + left
    change = tx.messages.set_params(chat_id, notice.order, {"count": str(left)})
    out.events.append(MessageChanged(change, notice.order))
    return count


def _name(chat_id: ChatId) -> str:
    return f"log_gaps:{chat_id.hex()}"


def _gaps(tx: Tx, chat_id: ChatId) -> list[LogGap]:
    return list(_decode(tx.meta.get(_name(chat_id))))


def _decode(value: bytes | None) -> tuple[LogGap, ...]:
    records = _RECORD.iter_unpack(value or b"")
    return tuple(LogGap(first, size, int.from_bytes(mask)) for first, size, mask in records)


def _put(tx: Tx, chat_id: ChatId, gaps: Sequence[LogGap]) -> None:
    records = [_RECORD.pack(gap.first, gap.size, gap.missing.to_bytes(_MASK)) for gap in gaps[-MAX_GAPS:]]
    if records:
        tx.meta.set(_name(chat_id), b"".join(records))
    else:
        tx.meta.remove(_name(chat_id))
