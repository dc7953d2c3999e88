"""Rows that were altered or lost on their way: noted with their author and the place that tells of the loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mensajeria.client.store import Tx
from mensajeria.client.store.resends import Hole
from mensajeria.client.store.values import InboundKey
from mensajeria.protocol.ids import ChatId, SessionId

FIRST_MS: Final = 5_000
"""Before the author is asked for the first time: a row that the log brings after all costs nobody anything."""
MAX_GAP: Final = 64
"""In a longer gap the missing index is not looked for."""


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


def only_missing(tx: Tx, key: InboundKey, low: int | None, high: int) -> int | None:
    """The one index from `low` on and below `high` that nothing was seen of; None when there is none, or several."""
    if low is None or high - low > MAX_GAP:
        return None
    unseen = [idx for idx in range(low, high) if tx.replays.ciphertext_hash(key.session_id, idx) is None]
    return unseen[0] if len(unseen) == 1 else None
