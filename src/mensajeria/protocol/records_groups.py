"""What members of a group tell each other about it, and no server reads."""

from __future__ import annotations

from typing import Annotated

import msgspec

from mensajeria.protocol import limits
from mensajeria.protocol.records import Record


class GroupProfile(Record, frozen=True, kw_only=True):
    """What a group is called; sealed under the group's profile key inside a `profile` event."""

    v: int = 1
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.GROUP_NAME_CHARS)]
    description: Annotated[str, msgspec.Meta(max_length=limits.GROUP_DESCRIPTION_CHARS)] = ""
    picture: Annotated[bytes, msgspec.Meta(max_length=limits.GROUP_PICTURE_BYTES)] = b""
    """A small encoded image; empty = none."""
