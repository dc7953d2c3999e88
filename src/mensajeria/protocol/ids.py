"""Typed identifiers. All are raw bytes on the wire; `hex` is for people and logs, base64url for JSON."""

from __future__ import annotations

import binascii
from typing import Annotated, NewType

import msgspec

Uid = NewType("Uid", bytes)
"""A user: 16 random bytes given by the server at registration."""
Did = NewType("Did", bytes)
"""A device: 16 random bytes chosen by the device."""
Mid = NewType("Mid", bytes)
"""A message or envelope: 16 random bytes chosen by the sender, unique in its chat."""
ServerId = NewType("ServerId", bytes)
"""A server: 16 random bytes made at its first start; clients pin it."""
ChatId = NewType("ChatId", bytes)
"""A chat: 32 bytes, always a hash (of the two members, or of the create event)."""
SessionId = NewType("SessionId", bytes)
"""A Megolm session: 32 bytes."""
Idfp = NewType("Idfp", bytes)
"""Identity fingerprint: H("identity", record), 32 bytes."""

Bytes16 = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
Bytes32 = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Bytes64 = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]
_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_+/=", b"+/\0\0\0")
"""What stands in no base64url becomes what stands in no base64 either."""
_PADDING = (b"", b"===", b"==", b"=")
U8 = Annotated[int, msgspec.Meta(ge=0, lt=1 << 8)]
U32 = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
U63 = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
"""Sequence numbers, times and sizes: u64 on the wire, below 2^63 so that every database holds them."""


def b64(data: bytes) -> str:
    """Base64url without padding, the form of every byte string in JSON and URLs."""
    return binascii.b2a_base64(data, newline=False).rstrip(b"=").translate(_TO_URL).decode("ascii")


def unb64(text: str) -> bytes:
    """The inverse of `b64`; raises ValueError for anything that `b64` would not have produced."""
    try:
        encoded = text.encode("ascii").translate(_FROM_URL) + _PADDING[len(text) % 4]
        data = binascii.a2b_base64(encoded)
    except ValueError as error:
        raise ValueError("not base64url") from error
    if binascii.b2a_base64(data, newline=False) != encoded:
        raise ValueError("not canonical base64url")
    return data
