"""A person's name, status and picture: sealed under their profile key (docs/protocol/e2ee.md §10, "Profiles").

Each version has a key of its own, which goes to the devices of accepted contacts with the hash of what it opens: who
was blocked, or removed, cannot read what is told later.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import Final

from mensajeria.crypto.aead import seal_with_salt, unseal
from mensajeria.crypto.padding import pad_message, unpad_message
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import MalformedError, encode, u64
from mensajeria.protocol.records_profiles import UserProfile, is_clean_name, is_clean_status

KEY_BYTES: Final = 32
_LABEL: Final = "user-profile"
_SALT_BYTES: Final = 16


def new_profile_key() -> Secret:
    """32 random bytes."""
    return Secret(os.urandom(KEY_BYTES))


def seal_user_profile(key: Secret, uid: bytes, ver: int, profile: UserProfile, *, salt: bytes | None = None) -> bytes:
    """What the server keeps for this version: salt ‖ AEAD. Padded as a message.

    A `salt` is given by tests of the format only.
    """
    salt = os.urandom(_SALT_BYTES) if salt is None else salt
    return salt + seal_with_salt(key, _LABEL, [uid, u64(ver)], pad_message(encode(profile)), salt)


def profile_hash(sealed: bytes) -> bytes:
    """What the owner's devices name beside the key."""
    return hashlib.sha256(sealed).digest()


def is_named(sealed: bytes, named: bytes) -> bool:
    """Whether these are the bytes that the owner's devices have named."""
    return hmac.compare_digest(profile_hash(sealed), named)


def open_user_profile(key: Secret, uid: bytes, ver: int, sealed: bytes) -> UserProfile:
    """The inverse of `seal_user_profile`, for bytes whose hash the owner's device has named.

    Raises:
        SealError: another key, user or version, or altered.
        PaddingError, MalformedError, NewerVersionError: whoever sealed it wrote no profile that may be shown.
    """
    padded = unseal(key, _LABEL, [uid, u64(ver)], sealed)
    profile = decode_record(UserProfile, unpad_message(padded))
    if not is_clean_name(profile.name) or not is_clean_status(profile.status):
        raise MalformedError("a name or status that must not be shown")
    return profile
