"""Access tokens (JWT, EdDSA) and the sealing of channel keys.

One algorithm and one shape are accepted, whatever a token's header says; issuer, audience, expiry and the binding to
the channel key (`cnf`) are all required; `sessions.Authenticator` checks the binding. PyJWT makes the tokens. They are
read here: only our own ever come, and a reader of one shape is stricter, and faster, than one of all that a JWT may be
(docs/decisions/0017-tokens-are-read-by-one-shape.md).
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import OrderedDict
from functools import lru_cache
from typing import Annotated, Final, Literal

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
from mensajeria.protocol.signing import verify_ed25519_bytes
from mensajeria.server.keyfiles import FormerKey

ALGORITHM: Final = "EdDSA"
AUDIENCE: Final = "mensajeria"
ROLLOUT_MS: Final = 5000
"""After a rotation: until every process has read the new key."""
_FOREVER: Final = 1 << 62
MAX_KEPT: Final = 10_000
"""Tokens that are remembered, made or verified here, about 4 MB."""
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
        nonce, ciphertext, owned = sealed[:_NONCE], sealed[_NONCE:], H(label, owner)
        for aead in (self._aead, self._former):
            try:
                if aead is not None:
                    return Secret(aead.decrypt(nonce, ciphertext, owned))
            except (InvalidTag, ValueError):
                continue
        raise ProtocolError(Code.LOGIN_REVOKED)


class AccessClaims(msgspec.Struct, frozen=True, gc=False):
    """What a valid access token says."""

    uid: bytes
    did: bytes
    key_id: bytes
    expires_ms: int


class _SigningKey:
    """A key with the name (`kid`) that tokens give for it."""

    def __init__(self, seed: Secret, until_ms: int) -> None:
        """What it has signed is good until then, whatever a token says itself."""
        self.until_ms = until_ms
        self.private = Ed25519PrivateKey.from_private_bytes(seed.reveal())
        self.public = self.private.public_key().public_bytes_raw()
        self.kid = b64(H("jwt-kid", self.public)[:_KID])


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No `crit`, no key of the sender's own: what is not known here is refused."""

    alg: Literal["EdDSA"]
    typ: Literal["JWT"]
    kid: str | None = None


class _Confirmation(msgspec.Struct, frozen=True):
    kid: str


class _Payload(msgspec.Struct, frozen=True):
    """All are required. A newer process may put more in."""

    iss: str
    aud: Literal["mensajeria"]
    sub: str
    did: str
    cnf: _Confirmation
    jti: str
    iat: int
    exp: Annotated[int, msgspec.Meta(ge=0, lt=1 << 50)]


_header: Final = msgspec.json.Decoder(_Header)
_payload: Final = msgspec.json.Decoder(_Payload)


def _name(token: str) -> bytes:
    # What cannot be encoded becomes "?", which stands in no token: no other one has the name of a good one.
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


@lru_cache(maxsize=16)
def _kid(header: str) -> str | None:
    """All tokens made with one key have the same header."""
    return _header.decode(unb64(header)).kid


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
        self._current = _SigningKey(key, _FOREVER)
        self._rotated_ms = 0 if former is None else former.at_ms
        until_ms = self._rotated_ms + ROLLOUT_MS + limits.ACCESS_TOKEN_S * 1000
        self._former = None if former is None else _SigningKey(former.key, until_ms)
        self._kept: OrderedDict[bytes, tuple[AccessClaims, int]] = OrderedDict()

    def _signing(self) -> _SigningKey:
        if self._former is not None and self._clock.now_ms() < self._rotated_ms + ROLLOUT_MS:
            return self._former
        return self._current

    def _verifying(self, kid: str | None) -> _SigningKey:
        """What the token says about its key chooses the key, and the key then verifies all of the token."""
        if kid == self._current.kid:
            return self._current
        if self._former is not None and kid == self._former.kid:
            if self._clock.now_ms() >= self._former.until_ms:
                raise ProtocolError(Code.TOKEN_EXPIRED)
            return self._former
        if kid is not None and _KID_FORM.fullmatch(kid):
            raise ProtocolError(Code.TOKEN_EXPIRED)  # made by a process that has a newer key than this one
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
        self._keep(_name(token), AccessClaims(uid, did, key_id, expires * 1000), signing)
        return token, expires * 1000

    def check(self, token: str) -> AccessClaims:
        """The claims of an authentic token. Its signature is verified at its first use, unless it was made here.

        Whether its login has ended meanwhile is not asked here.

        Raises:
            ProtocolError: TOKEN_EXPIRED, or UNAUTHORIZED for anything else that is wrong.
        """
        name = _name(token)
        kept = self._kept.get(name)
        if kept is None or kept[1] <= self._clock.now_ms():
            self._kept.pop(name, None)
            return self._keep(name, *self._verified(token))
        return kept[0]

    def _keep(self, name: bytes, claims: AccessClaims, key: _SigningKey) -> AccessClaims:
        self._kept[name] = claims, min(claims.expires_ms, key.until_ms)
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return claims

    def _verified(self, token: str) -> tuple[AccessClaims, _SigningKey]:
        try:
            header, payload, signature = token.split(".")
            key = self._verifying(_kid(header))
            verify_ed25519_bytes(key.public, f"{header}.{payload}".encode(), unb64(signature))
            claims = _payload.decode(unb64(payload))
            found = AccessClaims(unb64(claims.sub), unb64(claims.did), unb64(claims.cnf.kid), claims.exp * 1000)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise ProtocolError(Code.UNAUTHORIZED) from error
        if claims.iss != self._issuer:
            raise ProtocolError(Code.UNAUTHORIZED)
        if found.expires_ms <= self._clock.now_ms():
            raise ProtocolError(Code.TOKEN_EXPIRED)
        return found, key
