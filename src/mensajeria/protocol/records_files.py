"""The body of a message of the type "file" (docs/protocol/e2ee.md §10, Files)."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from mensajeria.protocol import limits
from mensajeria.protocol.ids import Bytes16, Bytes32
from mensajeria.protocol.records import Record

FILE: Final = "file"
"""The message type."""
# "\Z", not "$": that would let a line feed pass at the end.
MEDIA_TYPE: Final = r"^[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}\Z"
BLURHASH: Final = r"^([0-9A-Za-z#$%*+,\-.:;=?@\[\]^_{|}~]{6,90})?\Z"

_Side = Annotated[int, msgspec.Meta(ge=0, le=limits.IMAGE_MAX_SIDE)]


class FileBody(Record, frozen=True, kw_only=True):
    """What a recipient needs to fetch, verify, decrypt and show a file. Everything in it is the sender's claim.

    `name` is as the sender wrote it: whoever stores or shows it makes it harmless first (`client.core.filenames`).
    """

    v: int = 1
    blob: Bytes16
    """The server's id of the ciphertext."""
    key: Bytes32
    sha256: Bytes32
    """Of the whole ciphertext."""
    size: Annotated[int, msgspec.Meta(ge=0, le=limits.FILE_MAX_BYTES)]
    """Of the plaintext without padding."""
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.FILE_NAME_MAX_BYTES)]
    media: Annotated[str, msgspec.Meta(pattern=MEDIA_TYPE)]
    width: _Side
    """Of a picture as it is shown; 0 for everything else."""
    height: _Side
    blurhash: Annotated[str, msgspec.Meta(pattern=BLURHASH)]
    thumb: Annotated[bytes, msgspec.Meta(max_length=limits.FILE_THUMB_MAX_BYTES)]
    """A small picture; empty for none."""
    caption: Annotated[str, msgspec.Meta(max_length=limits.TEXT_MAX_BYTES)]

    def __repr__(self) -> str:
        return "FileBody(…)"
