"""Records by which people make sure of each other and of the server (docs/protocol/e2ee.md §10 and §12)."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from mensajeria.protocol import limits
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import MalformedError
from mensajeria.protocol.ids import U63, Bytes16, Bytes32
from mensajeria.protocol.records import Record, Signed

VERIFY: Final = "verify"
INVITE_PROOF: Final = "invite_proof"
STH: Final = "sth"
"""To-device types."""

REQUEST: Final = "request"
ACCEPT: Final = "accept"
KEY: Final = "key"
MAC: Final = "mac"
CANCEL: Final = "cancel"
_SIZES: Final = {REQUEST: 0, ACCEPT: 32, KEY: 32, MAC: 32}
MAX_REASON: Final = 32
_MAX_STEP: Final = 256
_REASON: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz_")


class Verify(Record, frozen=True, kw_only=True):
    """To-device type "verify": one step of comparing emoji. `data`: see `decode_verify`."""

    v: int = 1
    vid: Bytes16
    step: Annotated[str, msgspec.Meta(pattern=r"^(request|accept|key|mac|cancel)\Z")]
    data: Annotated[bytes, msgspec.Meta(max_length=MAX_REASON)] = b""


class VerificationCode(Record, frozen=True, kw_only=True):
    """What a QR code says of who shows it. `root` and `size`: the key log's head as they have verified it, 0 = none."""

    v: int = 1
    server_id: Bytes16
    uid: Bytes16
    idfp: Bytes32
    nonce: Bytes16
    size: U63 = 0
    root: Annotated[bytes, msgspec.Meta(max_length=32)] = b""


class InviteLink(Record, frozen=True, kw_only=True):
    """The fragment of an invite's link: where to go, which server and log it must be, and who invites."""

    v: int = 1
    url: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
    server_id: Bytes16
    log_key: Bytes32
    token: Annotated[bytes, msgspec.Meta(min_length=limits.INVITE_TOKEN_BYTES, max_length=limits.INVITE_TOKEN_BYTES)]
    uid: Bytes16
    idfp: Bytes32
    secret: Bytes32

    def __repr__(self) -> str:
        return f"InviteLink(url={self.url!r}, ***)"


class InviteProof(Record, frozen=True, kw_only=True):
    """To-device type "invite_proof": whoever sends it has read the link. mac = HMAC(s, invitee idfp | inviter idfp)."""

    v: int = 1
    invite: Bytes16
    """Names the link without telling its token: H("invite-id", token)[:16]."""
    mac: Bytes32


class LogEvidence(Record, frozen=True, kw_only=True):
    """To-device type "sth": the signed head of the key log that the sender holds for `size`; `ask` wants one back."""

    v: int = 1
    size: U63
    ask: bool
    head: Signed | None = None


def decode_verify(data: bytes) -> Verify:
    """A step whose data has the form of that step: nothing, a hash, a key, a MAC, or a reason in small letters.

    Raises NewerVersionError or MalformedError.
    """
    step = decode_record(Verify, data, max_size=_MAX_STEP)
    if step.step == CANCEL:
        if not step.data or not _REASON.issuperset(step.data):
            raise MalformedError("not a reason")
    elif len(step.data) != _SIZES[step.step]:
        raise MalformedError("data of another size")
    return step
