"""What a stranger sees of an account that does not exist, when somebody asks to recover it.

Everything follows from a secret and the handle: the same each time, of the same size, and made for existing handles,
too, so that neither form nor time tells which exist.
"""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mensajeria.kit.secrets import Secret
from mensajeria.protocol.encoding import cat, encode
from mensajeria.protocol.records import AccountWrap, IdentityRecord

_INFO: Final = b"recovery-decoy"


class Decoys:
    """Accounts that nobody has."""

    def __init__(self, setup: Secret) -> None:
        self._key = HKDF(hashes.SHA256(), 32, salt=None, info=_INFO).derive(setup.reveal())

    def of(self, handle: str) -> tuple[bytes, bytes, bytes]:
        """(uid, encoded identity record, encoded recovery wrap) for a handle."""
        uid = self._bytes(handle, "uid", 16)
        mldsa = MLDSA65PrivateKey.from_seed_bytes(self._bytes(handle, "mldsa", 32))
        identity = IdentityRecord(
            uid=uid,
            ed25519=self._public(handle, "ed25519"),
            mldsa=mldsa.public_key().public_bytes_raw(),
            recovery=self._public(handle, "recovery"),
        )
        wrap = AccountWrap(
            uid=uid,
            root_ver=1,
            method="recovery",
            salt=self._bytes(handle, "salt", 16),
            commit=self._bytes(handle, "commit", 32),
            ct=self._bytes(handle, "ct", 48),
        )
        return uid, encode(identity), encode(wrap)

    def _bytes(self, handle: str, what: str, size: int) -> bytes:
        info = cat(what.encode("ascii"), handle.encode("ascii"))
        return HKDF(hashes.SHA256(), size, salt=None, info=info).derive(self._key)

    def _public(self, handle: str, what: str) -> bytes:
        key = Ed25519PrivateKey.from_private_bytes(self._bytes(handle, what, 32))
        return key.public_key().public_bytes_raw()
