"""To-device bodies by which a missing session comes back, and by which a new device proves that it was linked.

Who carries a key does not matter: the binding in it is signed by the session's author (docs/protocol/e2ee.md §6, §10).
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from mensajeria.protocol import limits
from mensajeria.protocol.ids import U32, Bytes16, Bytes32
from mensajeria.protocol.records import Handle, Record, Signed

RESEND_MAX: Final = 14 << 10
"""What fits into one envelope; longer rows travel in parts."""
RESEND_ROW_MAX: Final = limits.MAX_CIPHERTEXT + 1024
"""The longest row: its ciphertext and what stands around it."""
Export = Annotated[bytes, msgspec.Meta(min_length=1, max_length=512)]


class ForwardedKey(Record, frozen=True, kw_only=True):
    """To-device type "forwarded_key": somebody's sender session, from `first_index` on, by whoever has it.

    The export proves nothing by itself: it is kept beside a signed key, never instead.
    """

    skb: Signed
    export: Export
    first_index: U32


class KeyWithheld(Record, frozen=True, kw_only=True):
    """To-device type "key_withheld": the asked device cannot or may not give the session to a member who asked."""

    chat_id: Bytes32
    session_id: Bytes32
    reason: Annotated[str, msgspec.Meta(pattern=r"^(unknown|refused)\Z")]


class ResendRequest(Record, frozen=True, kw_only=True):
    """To-device type "resend_request", to a session's own device: the row of that index was altered or lost."""

    chat_id: Bytes32
    session_id: Bytes32
    idx: U32


class Resend(Record, frozen=True, kw_only=True):
    """To-device type "resend", from the session's own device: its row as it was sent, to be judged like any row."""

    chat_id: Bytes32
    row: Annotated[bytes, msgspec.Meta(min_length=1, max_length=RESEND_MAX)]


class ResendPart(Record, frozen=True, kw_only=True):
    """To-device type "resend_part": of a row too long for "resend", the bytes from `offset` on; in order."""

    chat_id: Bytes32
    session_id: Bytes32
    idx: U32
    size: Annotated[int, msgspec.Meta(gt=RESEND_MAX, le=RESEND_ROW_MAX)]
    offset: U32
    data: Annotated[bytes, msgspec.Meta(min_length=1, max_length=RESEND_MAX)]


class LinkProof(Record, frozen=True, kw_only=True):
    """To-device type "link_proof": a new device shows the one whose code it was given that it has read that code.

    `mac` = HMAC-SHA256(the code's secret, cat("link", uid, idfp, did, ed25519, curve25519)) over the new device's keys.
    """

    link_id: Bytes16
    mac: Bytes32


class LinkCode(Record, frozen=True, kw_only=True):
    """What a device shows to a new one of the same account; base64url of this record behind "mensajeria-link:"."""

    v: int = 1
    url: Annotated[str, msgspec.Meta(min_length=1, max_length=2048)]
    server_id: Bytes16
    handle: Handle
    uid: Bytes16
    idfp: Bytes32
    did: Bytes16
    """The device that shows it, and waits for the proof."""
    link_id: Bytes16
    secret: Bytes32
