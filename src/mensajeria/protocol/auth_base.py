"""What the messages of `/auth/ws` are made of."""

from __future__ import annotations

from typing import Annotated

import msgspec

from mensajeria.protocol import limits
from mensajeria.protocol.records import Signed

OpaqueBytes = Annotated[bytes, msgspec.Meta(min_length=1, max_length=1024)]
WrapBytes = Annotated[bytes, msgspec.Meta(min_length=1, max_length=512)]
RecordBytes = Annotated[bytes, msgspec.Meta(min_length=1, max_length=4096)]
SuccessionBytes = Annotated[bytes, msgspec.Meta(min_length=1, max_length=16384)]
Text = Annotated[str, msgspec.Meta(max_length=256)]
Invite = Annotated[bytes, msgspec.Meta(max_length=limits.INVITE_TOKEN_BYTES)]
DeviceName = Annotated[
    str, msgspec.Meta(min_length=1, max_length=limits.DEVICE_NAME_MAX_CHARS, pattern=limits.TEXT_PATTERN)
]


class AuthMessage(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """Base of the auth messages."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"


class Prekeys(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """A device's public prekeys: OneTimeKey bodies (ctx otk), one with ctx fallback, one PqPrekey (ctx pq-prekey)."""

    one_time: Annotated[tuple[Signed, ...], msgspec.Meta(max_length=limits.OTK_UPLOAD_MAX)]
    fallback: Signed | None
    pq: Signed | None
