"""The key in the system's keyring (Secret Service, macOS Keychain, Windows Credential Manager)."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final

from mensajeria.client.errors import ProfileError
from mensajeria.client.vault.content import Content

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE: Final = "mensajeria"
_UNSAFE: Final = ("keyring.backends.fail", "keyring.backends.null", "keyrings.alt")
"""Backends that fail, forget, or keep secrets in readable files."""


def usable_keyring() -> KeyringBackend | None:
    """The system's keyring, None when there is none that keeps a secret. Slow: not for the loop's thread."""
    import keyring  # noqa: PLC0415 - looks for backends when imported (0.1 s), which a sealed key does not need

    try:
        backend = keyring.get_keyring()
    except Exception:  # noqa: BLE001 - a broken backend of another package must not keep us from the passphrase
        return None
    return None if type(backend).__module__.startswith(_UNSAFE) else backend


class KeyringEntry:
    """One entry: service "mensajeria", the account is the profile's random name."""

    def __init__(self, account: str, backend: KeyringBackend) -> None:
        self._account = account
        self._backend = backend

    def load(self) -> Content:
        """See `Place.load`."""
        try:
            text = self._backend.get_password(SERVICE, self._account)
        except Exception as error:
            raise ProfileError("keyring_failed", type(error).__name__) from error
        if text is None:
            raise ProfileError("key_lost", "the keyring has no key for this profile")
        try:
            return Content.decode(base64.b64decode(text, validate=True))
        except (binascii.Error, ValueError) as error:
            raise ProfileError("key_lost", "the keyring's entry holds no key") from error

    def store(self, content: Content) -> None:
        """See `Place.store`. What was written is read again: some keyrings forget in silence."""
        text = base64.b64encode(content.encode().reveal()).decode("ascii")
        try:
            self._backend.set_password(SERVICE, self._account, text)
            kept = self._backend.get_password(SERVICE, self._account)
        except Exception as error:
            raise ProfileError("keyring_failed", type(error).__name__) from error
        if kept != text:
            raise ProfileError("keyring_failed", "the keyring did not keep the key")

    def forget(self) -> None:
        """Take the entry away; none is no error. Raises ProfileError keyring_failed."""
        try:
            if self._backend.get_password(SERVICE, self._account) is not None:
                self._backend.delete_password(SERVICE, self._account)
        except Exception as error:
            raise ProfileError("keyring_failed", type(error).__name__) from error
