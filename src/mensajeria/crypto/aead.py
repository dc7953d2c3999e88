"""Sealing of stored records: one key per record, and additional data that names everything the record belongs to.

`seal` = salt(16) ‖ ChaCha20-Poly1305(HKDF(K, salt, label), zero nonce, AD = H(label, ids)). A key is used for one
record only, so the nonce is constant. ChaCha20-Poly1305 alone does not commit to its key: wraps that are opened by a
secret that a person types also carry a commitment, which is checked first (`seal_committed`).
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mensajeria.kit.secrets import Secret
from mensajeria.protocol.encoding import H

SALT_BYTES: Final = 16
TAG_BYTES: Final = 16
_ZERO_NONCE: Final = bytes(12)


class SealError(ValueError):
    """Wrong key, altered, or sealed for another place."""


def derive(key: Secret, info: bytes, *, salt: bytes = b"", length: int = 32) -> Secret:
    """HKDF-SHA256(key, salt, info), `length` bytes."""
    return Secret(HKDF(hashes.SHA256(), length, salt=salt or None, info=info).derive(key.reveal()))


def seal(key: Secret, label: str, ids: Sequence[bytes], plaintext: bytes) -> bytes:
    """Seal one record. `label` says its kind, `ids` everything it belongs to (user, chat, version, ...), in order."""
    salt = os.urandom(SALT_BYTES)
    return salt + seal_with_salt(key, label, ids, plaintext, salt)


def unseal(key: Secret, label: str, ids: Sequence[bytes], sealed: bytes) -> bytes:
    """The inverse of `seal`.

    Raises:
        SealError: wrong key, label or ids, or the bytes were altered.
    """
    return unseal_with_salt(key, label, ids, sealed[SALT_BYTES:], sealed[:SALT_BYTES])


def seal_with_salt(key: Secret, label: str, ids: Sequence[bytes], plaintext: bytes, salt: bytes) -> bytes:
    """The ciphertext alone, for formats that hold the salt in a field. A salt must never be used twice with a key."""
    record_key = derive(key, label.encode("ascii"), salt=salt)
    return ChaCha20Poly1305(record_key.reveal()).encrypt(_ZERO_NONCE, plaintext, H(label, *ids))


def unseal_with_salt(key: Secret, label: str, ids: Sequence[bytes], ciphertext: bytes, salt: bytes) -> bytes:
    """The inverse of `seal_with_salt`; raises SealError."""
    if len(salt) != SALT_BYTES or len(ciphertext) < TAG_BYTES:
        raise SealError("too short")
    record_key = derive(key, label.encode("ascii"), salt=salt)
    try:
        return ChaCha20Poly1305(record_key.reveal()).decrypt(_ZERO_NONCE, ciphertext, H(label, *ids))
    except InvalidTag as error:
        raise SealError("does not open") from error


def key_commitment(key: Secret, label: str, salt: bytes) -> bytes:
    """32 bytes that only this key gives: no ciphertext can be made that opens under two keys."""
    return derive(key, b"commit/" + label.encode("ascii"), salt=salt).reveal()


def seal_committed(key: Secret, label: str, ids: Sequence[bytes], plaintext: bytes) -> tuple[bytes, bytes, bytes]:
    """Seal with a key commitment: (salt, commitment, ciphertext)."""
    salt = os.urandom(SALT_BYTES)
    return salt, key_commitment(key, label, salt), seal_with_salt(key, label, ids, plaintext, salt)


def unseal_committed(
    key: Secret, label: str, ids: Sequence[bytes], *, salt: bytes, commitment: bytes, ciphertext: bytes
) -> bytes:
    """The inverse of `seal_committed`: the commitment is checked before anything is decrypted.

    Raises:
        SealError: wrong key, label or ids, or the bytes were altered.
    """
    if not hmac.compare_digest(key_commitment(key, label, salt), commitment):
        raise SealError("another key")
    return unseal_with_salt(key, label, ids, ciphertext, salt)
