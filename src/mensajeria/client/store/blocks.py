"""Who is blocked: read from the settings that the own devices share."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from mensajeria.protocol.ids import Uid

if TYPE_CHECKING:
    from mensajeria.client.store.tx import Tx

BLOCKED: Final = "blocked:"
"""Before a user's id, in hexadecimal. A block that was taken back is a removed setting."""
ON: Final = b"\x01"
_KEY: Final = re.compile(r"blocked:([0-9a-f]{32})")


def is_blocked(tx: Tx, uid: Uid) -> bool:
    """Whether the person has blocked this user, on whichever own device."""
    stored = tx.settings.get(BLOCKED + uid.hex())
    return stored is not None and stored.value == ON


def blocked_uids(tx: Tx) -> tuple[Uid, ...]:
    """Everybody who is blocked. What this program does not understand counts as never set."""
    named = [(named_by(stored.key), stored.value) for stored in tx.settings.all(BLOCKED)]
    return tuple(uid for uid, value in named if uid is not None and value == ON)


def named_by(key: str) -> Uid | None:
    """Whom a setting is about; None when another program has written something else there."""
    found = _KEY.fullmatch(key)
    return None if found is None else Uid(bytes.fromhex(found[1]))
