"""The account root AR: 32 bytes from which every long-lived account key follows (docs/protocol/e2ee.md §4).

It exists in memory during login, device changes, recovery and password changes only, and is stored only as wraps.
"""

from __future__ import annotations

import os
from typing import Final

from mensajeria.crypto import aead
from mensajeria.crypto.identity import Identity
from mensajeria.crypto.recovery import RecoveryCode
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import MalformedError, cat, encode, u64
from mensajeria.protocol.records import AccountWrap

ROOT_BYTES: Final = 32
_LABEL: Final = "account-wrap"
_PREVIOUS: Final = "account-root-prev"
_PASSWORD: Final = "opaque"  # noqa: S105 - a method's name
_RECOVERY: Final = "recovery"


class WrapError(ValueError):
    """The wrap does not open: wrong key, another account or version, or altered."""


class AccountRoot:
    """AR and its version."""

    __slots__ = ("_secret", "root_ver")

    def __init__(self, secret: Secret, root_ver: int) -> None:
        if len(secret.reveal()) != ROOT_BYTES:
            raise WrapError("wrong size")
        self._secret = secret
        self.root_ver = root_ver

    @classmethod
    def generate(cls, root_ver: int = 1) -> AccountRoot:
        """The root of a new account, or with a later version one that takes the place of another."""
        return cls(Secret(os.urandom(ROOT_BYTES)), root_ver)

    def wrap_password(self, uid: bytes, export_key: Secret) -> bytes:
        """Encoded AccountWrap under OPAQUE's export key."""
        return self._wrap(uid, _PASSWORD, _password_key(export_key))

    def wrap_recovery(self, uid: bytes, code: RecoveryCode) -> bytes:
        """Encoded AccountWrap under the recovery code."""
        return self._wrap(uid, _RECOVERY, code.wrap_key())

    @classmethod
    def unwrap_password(cls, wrap: bytes, *, uid: bytes, export_key: Secret) -> AccountRoot:
        """Open with OPAQUE's export key.

        Raises:
            WrapError: see there.
        """
        return cls._unwrap(wrap, uid, _PASSWORD, _password_key(export_key))

    @classmethod
    def unwrap_recovery(cls, wrap: bytes, *, uid: bytes, code: RecoveryCode) -> AccountRoot:
        """Open with the recovery code; needs no server.

        Raises:
            WrapError: see there.
        """
        return cls._unwrap(wrap, uid, _RECOVERY, code.wrap_key())

    def identity(self, uid: bytes, recovery_public: bytes) -> Identity:
        """The user's identity: its seeds are HKDF(AR, "identity-ed25519") and HKDF(AR, "identity-mldsa")."""
        return Identity(
            uid,
            aead.derive(self._secret, b"identity-ed25519"),
            aead.derive(self._secret, b"identity-mldsa"),
            recovery_public,
        )

    def backup_key(self, n: int) -> Secret:
        """BK_n: seals history for new devices; n = the device list's backup_ver."""
        return aead.derive(self._secret, cat(b"backup", u64(n)))

    def settings_key(self, n: int) -> Secret:
        """SSK_n: seals settings and read state between own devices; advances together with BK_n."""
        return aead.derive(self._secret, cat(b"settings", u64(n)))

    def rotate(self, uid: bytes) -> tuple[AccountRoot, bytes]:
        """A new root, and this one sealed under it, so that whoever has the new one can go back."""
        following = AccountRoot(Secret(os.urandom(ROOT_BYTES)), self.root_ver + 1)
        ids = (uid, u64(following.root_ver))
        return following, aead.seal(following._previous_key(), _PREVIOUS, ids, self._secret.reveal())

    def previous(self, uid: bytes, sealed: bytes) -> AccountRoot:
        """The root before this one; raises WrapError."""
        try:
            secret = aead.unseal(self._previous_key(), _PREVIOUS, (uid, u64(self.root_ver)), sealed)
        except aead.SealError as error:
            raise WrapError(str(error)) from error
        return AccountRoot(Secret(secret), self.root_ver - 1)

    def _previous_key(self) -> Secret:
        return aead.derive(self._secret, b"prev")

    def _wrap(self, uid: bytes, method: str, key: Secret) -> bytes:
        ids = (uid, u64(self.root_ver), method.encode("ascii"))
        salt, commit, ct = aead.seal_committed(key, _LABEL, ids, self._secret.reveal())
        return encode(AccountWrap(uid=uid, root_ver=self.root_ver, method=method, salt=salt, commit=commit, ct=ct))

    @classmethod
    def _unwrap(cls, data: bytes, uid: bytes, method: str, key: Secret) -> AccountRoot:
        try:
            wrap = decode_record(AccountWrap, data, max_size=512)
            if wrap.uid != uid or wrap.method != method:
                raise WrapError("of another account or method")
            ids = (uid, u64(wrap.root_ver), method.encode("ascii"))
            secret = aead.unseal_committed(key, _LABEL, ids, salt=wrap.salt, commitment=wrap.commit, ciphertext=wrap.ct)
        except (MalformedError, aead.SealError) as error:
            raise WrapError(str(error)) from error
        return cls(Secret(secret), wrap.root_ver)

    def __repr__(self) -> str:
        return f"AccountRoot(***, root_ver={self.root_ver})"


def _password_key(export_key: Secret) -> Secret:
    return aead.derive(export_key, b"account-wrap")
