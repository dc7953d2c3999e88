"""What a person tells their contacts about themselves, and no server reads (docs/protocol/e2ee.md §10, "Profiles")."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Final

import msgspec

from mensajeria.protocol import limits
from mensajeria.protocol.ids import Bytes32
from mensajeria.protocol.records import Record

PROFILE_KEY: Final = "profile_key"
"""The to-device type."""
_JOINER: Final = "\u200d"
_REFUSED: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
"""Control, invisible and direction characters: with them a name can be made to look like another one."""


class UserProfile(Record, frozen=True, kw_only=True):
    """Name, status and picture; sealed under the profile key. Whatever is empty is not told."""

    v: int = 1
    name: Annotated[str, msgspec.Meta(max_length=limits.PROFILE_NAME_CHARS)] = ""
    status: Annotated[str, msgspec.Meta(max_length=limits.PROFILE_STATUS_CHARS)] = ""
    picture: Annotated[bytes, msgspec.Meta(max_length=limits.PROFILE_PICTURE_BYTES)] = b""
    """An encoded image; empty = none."""


class ProfileKey(Record, frozen=True, kw_only=True):
    """To-device type "profile_key": which sealed profile is the sender's newest, and what opens it.

    The hash is what makes it the sender's own: everybody who has the key could seal another one under it.
    """

    v: int = 1
    ver: Annotated[int, msgspec.Meta(ge=1, le=(1 << 53) - 1)]
    key: Bytes32
    hash: Bytes32
    """SHA-256 of the sealed profile."""


def is_clean_name(text: str) -> bool:
    """Whether a profile may carry this name: one line, composed, nothing invisible, no "@", which marks user names."""
    return _is_clean(text) and "@" not in text


def is_clean_status(text: str) -> bool:
    """As a name, but with joined emoji and with "@"."""
    return _is_clean(text.replace(_JOINER, ""))


def _is_clean(text: str) -> bool:
    if text != " ".join(text.split()) or not unicodedata.is_normalized("NFC", text):
        return False
    return not any(unicodedata.category(char) in _REFUSED for char in text)
