"""The recovery code: 160 bits on paper that open the account root and sign as the recovery authority RA."""

from __future__ import annotations

import os
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mensajeria.crypto.aead import derive
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.signing import Ctx, signing_input

CODE_BYTES: Final = 20
_CHARS: Final = 32
_GROUP: Final = 4
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CHECK_ALPHABET: Final = _ALPHABET + "*~$=U"
_CONFUSIONS: Final = str.maketrans({"I": "1", "L": "1", "O": "0", "-": None, " ": None, "\u00a0": None})
_MAX_TEXT: Final = 256


class RecoveryCodeError(ValueError):
    """Not a recovery code: wrong length, a character that no code has, or a slip of the pen (check character)."""


class RecoveryCode:
    """160 random bits; in text 32 characters of Crockford's base 32 and his check character (modulo 37)."""

    __slots__ = ("_signer", "_value")

    def __init__(self, value: Secret) -> None:
        if len(value.reveal()) != CODE_BYTES:
            raise RecoveryCodeError("wrong size")
        self._value = value
        seed = derive(value, b"recovery-authority")
        self._signer = Ed25519PrivateKey.from_private_bytes(seed.reveal())

    @classmethod
    def generate(cls) -> RecoveryCode:
        """A new code."""
        return cls(Secret(os.urandom(CODE_BYTES)))

    @classmethod
    def parse(cls, text: str) -> RecoveryCode:
        """Read a code as a person typed it: any case, spaces and hyphens; I, L and O are read as 1, 1 and 0.

        Raises:
            RecoveryCodeError: it is not one.
        """
        if len(text) > _MAX_TEXT:
            raise RecoveryCodeError("too long")
        plain = "".join(text.upper().split()).translate(_CONFUSIONS)
        if len(plain) != _CHARS + 1:
            raise RecoveryCodeError("a recovery code has 33 characters")
        number = 0
        for char in plain[:_CHARS]:
            digit = _ALPHABET.find(char)
            if digit < 0:
                raise RecoveryCodeError("a character that no recovery code has")
            number = number << 5 | digit
        if _CHECK_ALPHABET[number % len(_CHECK_ALPHABET)] != plain[_CHARS]:
            raise RecoveryCodeError("a character is wrong")
        return cls(Secret(number.to_bytes(CODE_BYTES, "big")))

    @property
    def text(self) -> str:
        """The code for people: eight groups of four, and the check character. Secret: to show once, never to log."""
        number = int.from_bytes(self._value.reveal(), "big")
        chars = [_ALPHABET[number >> 5 * (_CHARS - 1 - i) & 31] for i in range(_CHARS)]
        groups = ["".join(chars[i : i + _GROUP]) for i in range(0, _CHARS, _GROUP)]
        return "-".join([*groups, _CHECK_ALPHABET[number % len(_CHECK_ALPHABET)]])

    @property
    def public(self) -> bytes:
        """RA's public key, 32 bytes: part of the identity record."""
        return self._signer.public_key().public_bytes_raw()

    def wrap_key(self) -> Secret:
        """RW: opens the account root."""
        return derive(self._value, b"recovery-wrap")

    def sign(self, ctx: Ctx, body: bytes) -> bytes:
        """RA's Ed25519 signature, 64 bytes."""
        return self._signer.sign(signing_input(ctx, body))

    def __repr__(self) -> str:
        return "RecoveryCode(***)"
