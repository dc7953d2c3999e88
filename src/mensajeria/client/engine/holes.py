"""Rows that were altered or lost on their way: noted with their author and the place that tells of the loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mensajeria.client.store import Tx
from mensajeria.client.store.resends import Hole
from mensajeria.protocol.ids import ChatId, SessionId

FIRST_MS: Final = 5_000
"""Before the author is asked for the first time: a row that the log brings after all costs nobody anything."""
MAX_GAP: Final = 64
"""Of a longer gap the last indices are asked for, and the others told."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the loss is told, and the log's row that it was noticed by."""

    order: int | None
    seq: int
    server_ms: int


def missing_row(tx: Tx, chat_id: ChatId, session_id: SessionId, idx: int, place: Place, now_ms: int) -> bool:
    """Note that the row of an index was altered or lost, if its author is known; whether there is something to ask."""
    author = next((stored.key for stored in tx.inbound.find(chat_id, session_id)), None)
    if author is None or place.order is None or tx.replays.ciphertext_hash(session_id, idx) is not None:
        return False
    return tx.holes.add(
        Hole(
            chat_id=chat_id,
            session_id=session_id,
            idx=idx,
            uid=author.uid,
            did=author.did,
            order=place.order,
            seq=place.seq,
            server_ms=place.server_ms,
            next_ms=now_ms + FIRST_MS,
        )
    )


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages of one device that were sent, as a later one of it shows, and did not come."""

    count: int = 0
    last: tuple[tuple[SessionId, int], ...] = ()
    """The last of them, in their order."""

    def and_then(self, tx: Tx, session_id: SessionId, low: int, high: int) -> Gap:
        """With what is missing of the indices low..high-1 of a session."""
        count = tx.replays.missing(session_id, low, high)
        if not count:
            return self
        unseen = tx.replays.unseen(session_id, max(low, high - MAX_GAP), high)
        return Gap(self.count + count, (*self.last, *((session_id, idx) for idx in unseen))[-MAX_GAP:])
