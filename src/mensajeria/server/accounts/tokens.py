"""Access tokens (JWT, EdDSA) and the sealing of channel keys.

One algorithm is accepted, whatever a token's header says; issuer, audience, expiry and the binding to the channel key
(`cnf`) are all required. PyJWT checks the former, `sessions.Authenticator` the binding.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from typing import Any, Final

import jwt
import msgspec
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
from mensajeria.server.keyfiles import FormerKey

ALGORITHM: Final = "EdDSA"
AUDIENCE: Final = "mensajeria"
ROLLOUT_MS: Final = 5000
"""After a rotation: until every process has read the new key."""
_NONCE: Final = 12
_KID: Final = 8
_KID_FORM: Final = re.compile(r"[A-Za-z0-9_-]{11}")


def channel_key_id(ck: Secret) -> bytes:
    """32 bytes that name a channel key without telling it."""
    return H("ck-id", ck.reveal())


class ChannelKeySealer:
    """Seals secrets at rest under `ck.key`: nonce ‖ ciphertext, bound to what they belong to."""

    def __init__(self, key: Secret, former: Secret | None = None) -> None:
        self.use(key, former)

    def use(self, key: Secret, former: Secret | None) -> None:
        """From now on seal under `key`, and open what is sealed under either."""
        self._aead = ChaCha20Poly1305(key.reveal())
        self._former = None if former is None else ChaCha20Poly1305(former.reveal())

    def seal(self, label: str, owner: bytes, secret: Secret) -> bytes:
        """The bytes to store."""
        nonce = os.urandom(_NONCE)
        return nonce + self._aead.encrypt(nonce, secret.reveal(), H(label, owner))

    def unseal(self, label: str, owner: bytes, sealed: bytes) -> Secret:
        """The inverse of `seal`.

        Raises:
            ProtocolError: LOGIN_REVOKED: the row was altered, moved, or sealed under a key that is gone.
        """
        for aead in (self._aead, self._former):
            with contextlib.suppress(InvalidTag, ValueError):
                if aead is not None:
                    return Secret(aead.decrypt(sealed[:_NONCE], sealed[_NONCE:], H(label, owner)))
        raise ProtocolError(Code.LOGIN_REVOKED)


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What a valid access token says."""

    uid: bytes
    did: bytes
    key_id: bytes
    expires_ms: int


class _SigningKey:
    """A key with the name (`kid`) that tokens give for it."""

    def __init__(self, seed: Secret) -> None:
        self.private = Ed25519PrivateKey.from_private_bytes(seed.reveal())
        self.public = self.private.public_key()
        self.kid = b64(H("jwt-kid", self.public.public_bytes_raw())[:_KID])


def _is_kid(kid: object) -> bool:
    return isinstance(kid, str) and _KID_FORM.fullmatch(kid) is not None


class AccessTokens:
    """Makes and checks access tokens.

    After a rotation every process takes the new key for its own tokens only when all of them must know it, and the
    former key is good until the last token made with it has expired.
    """

    def __init__(self, key: Secret, server_id: bytes, clock: Clock, former: FormerKey | None = None) -> None:
        self._issuer = b64(server_id)
        self._clock = clock
        self.use(key, former)

    def use(self, key: Secret, former: FormerKey | None) -> None:
        """These keys from now on."""
        self._current = _SigningKey(key)
        self._former = None if former is None else _SigningKey(former.key)
        self._rotated_ms = 0 if former is None else former.at_ms

    def _signing(self) -> _SigningKey:
        if self._former is not None and self._clock.now_ms() < self._rotated_ms + ROLLOUT_MS:
            return self._former
        return self._current

    def _verifying(self, token: str) -> _SigningKey:
        kid = _unverified_kid(token)
        if self._former is not None and kid == self._former.kid and kid != self._current.kid:
            if self._clock.now_ms() >= self._rotated_ms + ROLLOUT_MS + limits.ACCESS_TOKEN_S * 1000:
                raise ProtocolError(Code.TOKEN_EXPIRED)
            return self._former
        if _is_kid(kid) and kid != self._current.kid:  # made by a process that has a newer key than this one
            raise ProtocolError(Code.TOKEN_EXPIRED)
        return self._current

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
        signing = self._signing()
        token = jwt.encode(claims, signing.private, algorithm=ALGORITHM, headers={"kid": signing.kid})
        return token, expires * 1000

    def check(self, token: str) -> AccessClaims:
        """The claims of an authentic token.

        Raises:
            ProtocolError: TOKEN_EXPIRED, or UNAUTHORIZED for anything else that is wrong.
        """
        try:
            claims = jwt.decode(
                token,
                self._verifying(token).public,
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


def _unverified_kid(token: str) -> object:
    """What the token says about its key: it chooses the key, and the key then verifies all of the token.

    Only the first part is looked at; the library's own function takes all three apart, and `decode` does it again.

    Raises:
        ValueError: no JSON object there.
    """
    header = msgspec.json.decode(unb64(token.partition(".")[0]))
    if not isinstance(header, dict):
        raise ValueError("header")  # noqa: TRY004 - a value from outside, not a fault of the program
    return header.get("kid")


def _claims(claims: dict[str, Any]) -> AccessClaims:
    if not isinstance(claims["exp"], int):
        raise TypeError("exp")
    return AccessClaims(unb64(claims["sub"]), unb64(claims["did"]), unb64(claims["cnf"]["kid"]), claims["exp"] * 1000)
