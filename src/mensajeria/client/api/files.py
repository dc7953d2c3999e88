"""Files in messages, and their way to and from the server."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from mensajeria.client.api.core import Event

if TYPE_CHECKING:
    from mensajeria.protocol.ids import ChatId, Mid


class AttachmentState(StrEnum):
    """Where a message's file is."""

    UPLOADING = "uploading"
    """On this device, encrypted, on its way to the server."""
    REMOTE = "remote"
    """On the server: nothing is fetched before it is asked for."""
    SAVED = "saved"
    """The person has fetched it: see `Attachment.saved_to`."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """What a message says of its file. Everything is its sender's claim until the file has been fetched.

    `name` was made harmless: one path component without controls, direction overrides and reserved names.
    """

    name: str
    media: str
    """Media type, such as "image/jpeg"."""
    size: int
    """Bytes."""
    state: AttachmentState
    risky: bool
    """Opening it may run something: ask first."""
    width: int = 0
    """Of a picture as it is shown, else 0."""
    height: int = 0
    blurhash: str = ""
    thumb: bytes = field(default=b"", repr=False)
    """A small JPEG, or empty. Somebody else made it: decode it as carefully as any picture from outside."""
    saved_to: str | None = None

    @property
    def is_picture(self) -> bool:
        """Whether it can be shown in the timeline."""
        return self.width > 0 and self.height > 0 and self.media.startswith("image/")


class Direction(StrEnum):
    """Which way a file goes."""

    UPLOAD = "upload"
    DOWNLOAD = "download"


@dataclass(frozen=True, slots=True)
class Transfer:
    """A file on its way. Bytes are those of the ciphertext; `total` is known from the start."""

    chat_id: ChatId
    mid: Mid
    direction: Direction
    done: int
    total: int

    @property
    def finished(self) -> bool:
        """Whether all of it has arrived."""
        return self.done >= self.total


@dataclass(frozen=True, slots=True)
class TransferProgress(Event):
    """A file has come further; at most ten times a second for each, and at its end."""

    transfer: Transfer
