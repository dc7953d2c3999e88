"""A group's name, description and picture: sealed under the group's profile key (docs/protocol/e2ee.md §8).

The key travels with sender keys and is replaced when somebody is removed, so who is gone cannot read a later name.
"""

from __future__ import annotations

import os
from typing import Final

from mensajeria.crypto.aead import seal_with_salt, unseal
from mensajeria.crypto.padding import pad_message, unpad_message
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import encode, u64
from mensajeria.protocol.records_groups import GroupProfile

KEY_BYTES: Final = 32
_LABEL: Final = "group-profile"
_SALT_BYTES: Final = 16
_MAX: Final = 16 << 10


def new_profile_key() -> Secret:
    """32 random bytes."""
    return Secret(os.urandom(KEY_BYTES))


def seal_profile(key: Secret, chat_id: bytes, ver: int, profile: GroupProfile, *, salt: bytes | None = None) -> bytes:
    """The `profile` field of the event of this version: salt ‖ AEAD. Padded, so that it tells little of the length.

    A `salt` is given by tests of the format only.
    """
    salt = os.urandom(_SALT_BYTES) if salt is None else salt
    return salt + seal_with_salt(key, _LABEL, [chat_id, u64(ver)], pad_message(encode(profile)), salt)


def open_profile(key: Secret, chat_id: bytes, ver: int, sealed: bytes) -> GroupProfile:
    """The inverse of `seal_profile`.

    Raises:
        SealError: another key, chat or version, or altered.
        PaddingError, MalformedError: whoever sealed it wrote no profile.
    """
    padded = unseal(key, _LABEL, [chat_id, u64(ver)], sealed)
    return decode_record(GroupProfile, unpad_message(padded), max_size=_MAX)
