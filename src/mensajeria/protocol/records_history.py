"""Chosen history for a new member: what the group is told of it, and the keys that go to the member's devices.

Who may have which keys is fixed by the device that chose, when it chose (docs/protocol/e2ee.md §10).
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from mensajeria.protocol.ids import U63, Bytes32
from mensajeria.protocol.records import Record
from mensajeria.protocol.records_healing import ForwardedKey

HISTORY: Final = "history"
KEYS_AT_ONCE: Final = 20
"""Keys in one letter: as many as surely fit into the largest envelope."""


class HistoryBody(Record, frozen=True, kw_only=True):
    """Message type "history": who was added by the author's event `add` may read the log from its row `since` on."""

    v: int = 1
    choice: Annotated[str, msgspec.Meta(pattern=r"^(24h|7d|all)\Z")]
    """What the author chose, for people to read; `since` is what counts."""
    add: U63
    """Number of the `add` event in the membership chain."""
    since: Annotated[int, msgspec.Meta(ge=1, lt=1 << 53)]


class HistoryKeys(Record, frozen=True, kw_only=True):
    """To-device type "history_keys": sender sessions of a group, each from the index where the chosen window begins."""

    chat_id: Bytes32
    keys: Annotated[tuple[ForwardedKey, ...], msgspec.Meta(min_length=1, max_length=KEYS_AT_ONCE)]
