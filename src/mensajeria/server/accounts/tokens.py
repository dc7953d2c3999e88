"""Access tokens (JWT, EdDSA) and the sealing of channel keys.

One algorithm is accepted, whatever a token's header says; issuer, audience, expiry and the binding to the channel key
(`cnf`) are all required. PyJWT checks the former, `sessions.Authenticator` the binding.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Final

import jwt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from mensajeria.kit.clock import Clock
from mensajeria.kit.ids import random16
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import limits
from mensajeria.protocol.encoding import H
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.protocol.ids import b64, unb64

ALGORITHM: Final = "EdDSA"
AUDIENCE: Final = "mensajeria"
_NONCE: Final = 12


def channel_key_id(ck: Secret) -> bytes:
    """32 bytes that name a channel key without telling it."""
    return H("ck-id", ck.reveal())


class ChannelKeySealer:
    """Seals secrets at rest under `ck.key`: nonce ‖ ciphertext, bound to what they belong to."""

    def __init__(self, key: Secret) -> None:
        self._aead = ChaCha20Poly1305(key.reveal())

    def seal(self, label: str, owner: bytes, secret: Secret) -> bytes:
        """The bytes to store."""
        nonce = os.urandom(_NONCE)
        return nonce + self._aead.encrypt(nonce, secret.reveal(), H(label, owner))

    def unseal(self, label: str, owner: bytes, sealed: bytes) -> Secret:
        """The inverse of `seal`.

        Raises:
            ProtocolError: LOGIN_REVOKED: the row was altered, moved, or sealed under a key that is gone.
        """
        try:
            return Secret(self._aead.decrypt(sealed[:_NONCE], sealed[_NONCE:], H(label, owner)))
        except (InvalidTag, ValueError) as error:
            raise ProtocolError(Code.LOGIN_REVOKED) from error


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What a valid access token says."""

    uid: bytes
    did: bytes
    key_id: bytes
    expires_ms: int


class AccessTokens:
    """Makes and checks access tokens."""

    def __init__(self, key: Secret, server_id: bytes, clock: Clock) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(key.reveal())
        self._public = self._private.public_key()
        self._issuer = b64(server_id)
        self._clock = clock

    def issue(self, *, uid: bytes, did: bytes, key_id: bytes) -> tuple[str, int]:
        """A token for one device, and when it expires (ms)."""
        now = self._clock.now_ms() // 1000
        expires = now + limits.ACCESS_TOKEN_S
        claims = {
            "iss": self._issuer,
            "aud": AUDIENCE,
            "sub": b64(uid),
            "did": b64(did),
            "cnf": {"kid": b64(key_id)},
            "jti": b64(random16()),
            "iat": now,
            "exp": expires,
        }
        return jwt.encode(claims, self._private, algorithm=ALGORITHM), expires * 1000

    def check(self, token: str) -> AccessClaims:
        """The claims of an authentic token.

        Raises:
            ProtocolError: TOKEN_EXPIRED, or UNAUTHORIZED for anything else that is wrong.
        """
        try:
            claims = jwt.decode(
                token,
                self._public,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=self._issuer,
                options={
                    "require": ["iss", "aud", "sub", "did", "cnf", "jti", "iat", "exp"],
                    "verify_exp": False,  # below, by the server's own clock
                    "verify_iat": False,
                    "enforce_minimum_key_length": True,
                },
            )
            found = _claims(claims)
        except (jwt.PyJWTError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise ProtocolError(Code.UNAUTHORIZED) from error
        if found.expires_ms <= self._clock.now_ms():
            raise ProtocolError(Code.TOKEN_EXPIRED)
        return found


def _claims(claims: dict[str, Any]) -> AccessClaims:
    if not isinstance(claims["exp"], int):
        raise TypeError("exp")
    return AccessClaims(unb64(claims["sub"]), unb64(claims["did"]), unb64(claims["cnf"]["kid"]), claims["exp"] * 1000)
