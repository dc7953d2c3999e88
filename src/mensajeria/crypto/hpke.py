"""HPKE (RFC 9180) with the hybrid KEM ML-KEM-768 + X25519: base mode, HKDF-SHA256, ChaCha20-Poly1305.

The library has no serialisation for hybrid keys: private = 64-byte ML-KEM seed ‖ 32-byte X25519, public = 1184 ‖ 32.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from mensajeria.kit.secrets import Secret
from mensajeria.protocol.prekeys import MLKEM_KEY_BYTES, is_usable_hybrid_key

SEED_BYTES: Final = 64
PRIVATE_BYTES: Final = 96
ENCAPSULATED_BYTES: Final = 1120
_suite: Final = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


class HpkeError(ValueError):
    """Does not open: another key or purpose, or altered. Or a public key that must not be used."""


@lru_cache(maxsize=1024)
def _public_key(key: bytes) -> MLKEM768X25519PublicKey:
    if not is_usable_hybrid_key(key):
        raise HpkeError("unusable key")
    return MLKEM768X25519PublicKey(
        MLKEM768PublicKey.from_public_bytes(key[:MLKEM_KEY_BYTES]),
        X25519PublicKey.from_public_bytes(key[MLKEM_KEY_BYTES:]),
    )


def hpke_seal(public_key: bytes, info: bytes, plaintext: bytes) -> bytes:
    """Encapsulated key (1120 bytes) ‖ ciphertext.

    Raises:
        HpkeError: the key is unusable.
    """
    try:
        return _suite.encrypt(plaintext, _public_key(public_key), info)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise HpkeError("does not seal") from error


class HybridPrivateKey:
    """The private half of a hybrid prekey."""

    __slots__ = ("_key", "_material")

    def __init__(self, material: Secret) -> None:
        raw = material.reveal()
        if len(raw) != PRIVATE_BYTES:
            raise HpkeError("wrong size")
        self._material = material
        self._key = MLKEM768X25519PrivateKey(
            MLKEM768PrivateKey.from_seed_bytes(raw[:SEED_BYTES]), X25519PrivateKey.from_private_bytes(raw[SEED_BYTES:])
        )

    @classmethod
    def generate(cls) -> HybridPrivateKey:
        """A new key."""
        seed = MLKEM768PrivateKey.generate().private_bytes_raw()
        return cls(Secret(seed + X25519PrivateKey.generate().private_bytes_raw()))

    @property
    def material(self) -> Secret:
        """96 bytes to store."""
        return self._material

    @property
    def public(self) -> bytes:
        """1216 bytes to publish."""
        raw = self._material.reveal()
        mlkem = MLKEM768PrivateKey.from_seed_bytes(raw[:SEED_BYTES]).public_key().public_bytes_raw()
        return mlkem + X25519PrivateKey.from_private_bytes(raw[SEED_BYTES:]).public_key().public_bytes_raw()

    def open(self, info: bytes, sealed: bytes) -> bytes:
        """The plaintext.

        Raises:
            HpkeError: it does not open.
        """
        try:
            return _suite.decrypt(sealed, self._key, info)
        except (InvalidTag, ValueError) as error:
            raise HpkeError("does not open") from error

    def __repr__(self) -> str:
        return "HybridPrivateKey(***)"
