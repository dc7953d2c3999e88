"""`key.sealed`: the content sealed under a passphrase.

File: magic(15) ‖ version(1) ‖ salt(16) ‖ commitment(32) ‖ record salt(16) ‖ ciphertext(56), 136 bytes. The passphrase
goes through NFKC and Argon2id (128 MiB, 3 passes, 4 lanes). These are constants of the version: whoever can write the
file cannot lower them, and cannot make us allocate more.
"""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from mensajeria.client.errors import ProfileError
from mensajeria.client.files import read_small, write_private
from mensajeria.client.vault.content import CONTENT_BYTES, Content
from mensajeria.crypto.aead import SealError, seal_committed, unseal_committed
from mensajeria.kit.secrets import Secret

MAGIC: Final = b"mensajeria-key\x00"
VERSION: Final = 1
SALT_BYTES: Final = 16
COMMITMENT_BYTES: Final = 32
TAG_BYTES: Final = 16
FILE_BYTES: Final = len(MAGIC) + 1 + SALT_BYTES + COMMITMENT_BYTES + SALT_BYTES + CONTENT_BYTES + TAG_BYTES
_LABEL: Final = "local-key"


def stretch(passphrase: Secret, salt: bytes) -> Secret:
    """The 32-byte key of a passphrase; 0.4 s and 128 MiB. Raises ProfileError passphrase_needed for an empty one."""
    text = unicodedata.normalize("NFKC", passphrase.reveal().decode("utf-8", "surrogatepass"))
    if not text:
        raise ProfileError("passphrase_needed", "an empty passphrase protects nothing")
    kdf = Argon2id(salt=salt, length=32, iterations=3, lanes=4, memory_cost=128 << 10)
    return Secret(kdf.derive(text.encode("utf-8", "surrogatepass")))


def seal_content(key: Secret, salt: bytes, content: Content) -> bytes:
    """The file's bytes under an already stretched key."""
    record_salt, commitment, ciphertext = seal_committed(key, _LABEL, [salt], content.encode().reveal())
    return MAGIC + bytes([VERSION]) + salt + commitment + record_salt + ciphertext


def salt_of(data: bytes) -> bytes:
    """The salt in a file's bytes. Raises ProfileError: profile_damaged, profile_newer."""
    if data[: len(MAGIC)] != MAGIC or len(data) <= len(MAGIC):
        raise ProfileError("profile_damaged", "key.sealed is not a sealed key")
    if data[len(MAGIC)] > VERSION:
        raise ProfileError("profile_newer", "key.sealed is of a newer version")
    if data[len(MAGIC)] != VERSION or len(data) != FILE_BYTES:
        raise ProfileError("profile_damaged", "key.sealed is damaged")
    return data[len(MAGIC) + 1 :][:SALT_BYTES]


def unseal_content(key: Secret, data: bytes) -> Content:
    """The content of a file's bytes. Raises ProfileError: passphrase_wrong, profile_damaged, profile_newer."""
    salt = salt_of(data)
    rest = data[len(MAGIC) + 1 + SALT_BYTES :]
    commitment, rest = rest[:COMMITMENT_BYTES], rest[COMMITMENT_BYTES:]
    record_salt, ciphertext = rest[:SALT_BYTES], rest[SALT_BYTES:]
    try:
        plain = unseal_committed(key, _LABEL, [salt], salt=record_salt, commitment=commitment, ciphertext=ciphertext)
        return Content.decode(plain)
    except SealError as error:
        raise ProfileError("passphrase_wrong", "the passphrase does not open key.sealed") from error
    except ValueError as error:
        raise ProfileError("profile_damaged", "key.sealed holds no key") from error


class SealedFile:
    """`key.sealed` with its passphrase. The stretched key is kept, so that only the first use costs 0.4 s."""

    def __init__(self, path: Path, passphrase: Secret) -> None:
        self._path = path
        self._passphrase = passphrase
        self._salt = b""
        self._key: Secret | None = None

    def load(self) -> Content:
        """See `Place.load`."""
        data = read_file(self._path)
        return unseal_content(self._stretched(salt_of(data)), data)

    def store(self, content: Content) -> None:
        """See `Place.store`."""
        key = self._stretched(self._salt or os.urandom(SALT_BYTES))
        try:
            write_private(self._path, seal_content(key, self._salt, content))
        except OSError as error:
            raise ProfileError("store_failed", str(error)) from error

    def _stretched(self, salt: bytes) -> Secret:
        if self._key is None or salt != self._salt:
            self._key, self._salt = stretch(self._passphrase, salt), salt
        return self._key


def read_file(path: Path) -> bytes:
    """A key file's bytes. Raises ProfileError: key_lost, profile_damaged, store_failed."""
    try:
        data = read_small(path, 4096)
    except ValueError as error:
        raise ProfileError("profile_damaged", f"{path.name} is too large") from error
    except OSError as error:
        raise ProfileError("store_failed", str(error)) from error
    if data is None:
        raise ProfileError("key_lost", f"{path.name} is not there")
    return data
