"""Until when a chat is muted: read from the settings that the own devices share."""

from __future__ import annotations

from typing import Final

from mensajeria.client.api import MUTED_FOREVER

MUTED: Final = "muted:"
"""Before a chat's id, in hexadecimal. The value is the time; a mute that was taken back is a removed setting."""
_BYTES: Final = 8


def value_of(until_ms: int) -> bytes:
    """The setting's value; empty for 0."""
    return until_ms.to_bytes(_BYTES, "big") if until_ms else b""


def until_of(value: bytes | None) -> int:
    """When a mute ends, 0 = there is none. What this program does not understand counts as never set."""
    until_ms = int.from_bytes(value, "big") if value is not None and len(value) == _BYTES else 0
    return until_ms if until_ms <= MUTED_FOREVER else 0
