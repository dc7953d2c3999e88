"""The append-only log of every chat: what it promises, whichever database keeps it.

- A batch is one transaction. When `append` returns, its new rows are committed and durable.
- `seq` is gapless per chat and given under the lock of the chat's row, so commit order is read order.
- A mid occurs once per chat. The same bytes again give the first row's number; other bytes are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from mensajeria.protocol import limits
from mensajeria.server.db import schema_chats

_HOUR_MS: Final = 3600 * 1000
NEW: Final = schema_chats.STATUS_NEW
KNOWN: Final = schema_chats.STATUS_KNOWN
MID_CONFLICT: Final = schema_chats.STATUS_MID_CONFLICT
STALE_EPOCH: Final = schema_chats.STATUS_STALE_EPOCH
UNKNOWN_CHAT: Final = schema_chats.STATUS_UNKNOWN_CHAT
FAILED: Final = 5
"""The row made its statement fail; it alone has no effect."""
LOCKED: Final = 7
"""The row was not stored: another transaction keeps its chat. Never seen outside of the committer."""
UNAVAILABLE: Final = 6
"""The database did not answer in time; the row may or may not be stored. Sending it again is safe."""

Outcome = tuple[int, int, int]
"""(status, seq, ts): seq and ts are those of the stored row for NEW and KNOWN."""


class NewEvent(msgspec.Struct, gc=False):
    """A row to append. `chat` is the row id of the chat; ts in milliseconds UTC."""

    chat: int
    mid: bytes
    epoch: int
    kind: int
    ts: int
    body: bytes
    accepts: int = 0
    """Account for which storing this row accepts the chat, 0 = none: who writes into a request has accepted it."""
    due: int = 0
    """When the row may be erased, in milliseconds UTC; 0 = never, as its author set no timer."""


def due_ms(now_ms: int, ttl_bucket: int) -> int:
    """When a message with this timer may be erased: after 2^(ttl_bucket-1) hours. 0 = never."""
    return now_ms + (_HOUR_MS << (ttl_bucket - 1)) if 0 < ttl_bucket <= limits.TTL_BUCKETS else 0


class LogUnavailableError(Exception):
    """The database cannot be reached. Whether the batch was stored is not known; appending it again is safe."""


class BatchRefusedError(Exception):
    """The database refused the batch, for one row or more; nothing of it is stored."""


class ChatsLockedError(Exception):
    """Another transaction keeps the row of a chat for longer than a commit takes; nothing of the batch is stored."""


class EventLog(Protocol):
    """Where the logs are kept."""

    async def append(self, events: Sequence[NewEvent]) -> list[Outcome]:
        """Append in order; one outcome for each event. No (chat, mid) may occur twice in one call.

        Raises:
            LogUnavailableError: see there.
            BatchRefusedError, ChatsLockedError: see there.
        """
        ...

    async def locked(self, events: Sequence[NewEvent], /) -> frozenset[int]:
        """The chats whose events would wait for another transaction now. Raises LogUnavailableError."""
        ...

    async def close(self) -> None:
        """Give up the connection."""
        ...
