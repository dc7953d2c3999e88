"""The encrypted stream of a backup file: chunks that can neither be changed, moved, repeated nor cut off.

File = header ‖ chunks. Header = magic ‖ u8 version ‖ u8 method ‖ salt(16) ‖ commitment(32). Each chunk is 64 KiB of
plaintext (the last one is shorter or empty) under ChaCha20-Poly1305 with nonce 0^7 ‖ u32 index ‖ u8 last and
AD = H("backup-file", header). The key comes from a passphrase (NFKC, Argon2id: 128 MiB, 3 passes, 4 lanes) or from the
account's recovery code. These parameters belong to the version: whoever can write the file cannot lower them. The
commitment is checked first, so that no file can be made that opens under two passphrases and tells which of many was
tried (partitioning oracle).
"""

from __future__ import annotations

import hmac
import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from mensajeria.crypto import aead
from mensajeria.crypto.recovery import RecoveryCode
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.encoding import H, u32

MAGIC: Final = b"mensajeria-backup\x00"
VERSION: Final = 1
CHUNK: Final = 64 << 10
TAG: Final = 16
HEADER_BYTES: Final = len(MAGIC) + 2 + 16 + 32
_LABEL: Final = "backup-file"
_MAX_CHUNKS: Final = (1 << 32) - 1


class BackupFileError(ValueError):
    """Not a backup file, altered, or cut off."""


class WrongBackupKeyError(BackupFileError):
    """The passphrase or recovery code is not this file's."""


class NewerBackupFileError(BackupFileError):
    """Written by a newer program."""


class Method(IntEnum):
    """What opens a file."""

    PASSPHRASE = 0
    RECOVERY_CODE = 1


@dataclass(frozen=True, slots=True)
class FileKey:
    """What a person opens a file with: one of the two."""

    passphrase: Secret | None = None
    code: RecoveryCode | None = None

    @property
    def method(self) -> Method:
        """Which one it is."""
        return Method.PASSPHRASE if self.code is None else Method.RECOVERY_CODE

    def stretched(self, salt: bytes) -> Secret:
        """The file's main key. A passphrase takes 0.4 s and 128 MiB. Raises ValueError for an empty passphrase."""
        if self.code is not None:
            return aead.derive(self.code.wrap_key(), b"backup-file", salt=salt)
        assert self.passphrase is not None
        text = unicodedata.normalize("NFKC", self.passphrase.reveal().decode("utf-8", "surrogatepass"))
        if not text:
            raise ValueError("an empty passphrase protects nothing")
        kdf = Argon2id(salt=salt, length=32, iterations=3, lanes=4, memory_cost=128 << 10)
        return Secret(kdf.derive(text.encode("utf-8", "surrogatepass")))


class _Cipher:
    """Chunks of one file, in order."""

    def __init__(self, main: Secret, salt: bytes, header: bytes) -> None:
        self._cipher = ChaCha20Poly1305(aead.derive(main, _LABEL.encode("ascii"), salt=salt).reveal())
        self._aad = H(_LABEL, header)
        self._index = 0

    def seal(self, plain: bytes, *, last: bool) -> bytes:
        return self._cipher.encrypt(self._nonce(last=last), plain, self._aad)

    def open(self, sealed: bytes, *, last: bool) -> bytes:
        try:
            return self._cipher.decrypt(self._nonce(last=last), sealed, self._aad)
        except InvalidTag as error:
            raise BackupFileError("altered or cut off") from error

    def _nonce(self, *, last: bool) -> bytes:
        if self._index > _MAX_CHUNKS:
            raise BackupFileError("too large")
        index, self._index = self._index, self._index + 1
        return bytes(7) + u32(index) + bytes([last])


class BackupFileWriter:
    """Writes one file; `finish` makes it whole. Raises OSError."""

    def __init__(self, file: BinaryIO, key: FileKey) -> None:
        salt = os.urandom(16)
        main = key.stretched(salt)
        header = MAGIC + bytes([VERSION, key.method]) + salt + aead.key_commitment(main, _LABEL, salt)
        self._file = file
        self._cipher = _Cipher(main, salt, header)
        self._waiting = bytearray()
        file.write(header)

    def write(self, data: bytes) -> None:
        """Add plaintext."""
        self._waiting += data
        while len(self._waiting) > CHUNK:
            self._file.write(self._cipher.seal(bytes(self._waiting[:CHUNK]), last=False))
            del self._waiting[:CHUNK]

    def finish(self) -> None:
        """Write what is left as the last chunk."""
        self._file.write(self._cipher.seal(bytes(self._waiting), last=True))
        self._waiting.clear()


def method_of(file: BinaryIO) -> Method:
    """What opens the file, read from its start. Raises BackupFileError."""
    return _header(file)[1]


def read_chunks(file: BinaryIO, key: FileKey) -> Iterator[bytes]:
    """The plaintext, a chunk at a time; it is whole only if the iteration ends without an error.

    Raises:
        WrongBackupKeyError, NewerBackupFileError, BackupFileError. OSError.
    """
    header, method, salt, commitment = _header(file)
    if method is not key.method:
        raise WrongBackupKeyError("the file is opened by the other means")
    main = key.stretched(salt)
    if not hmac.compare_digest(aead.key_commitment(main, _LABEL, salt), commitment):
        raise WrongBackupKeyError("another passphrase or code, or an altered header")
    cipher = _Cipher(main, salt, header)
    sealed = file.read(CHUNK + TAG)
    while True:
        following = file.read(CHUNK + TAG)
        yield cipher.open(sealed, last=not following)
        if not following:
            return
        sealed = following


def _header(file: BinaryIO) -> tuple[bytes, Method, bytes, bytes]:
    header = file.read(HEADER_BYTES)
    start = len(MAGIC)
    if header[:start] != MAGIC or len(header) <= start:
        raise BackupFileError("not a backup file")
    if header[start] > VERSION:
        raise NewerBackupFileError(f"version {header[start]}")
    if header[start] != VERSION or len(header) != HEADER_BYTES or header[start + 1] not in set(Method):
        raise BackupFileError("damaged header")
    salt = header[start + 2 : start + 18]
    return header, Method(header[start + 1]), salt, header[start + 18 :]
