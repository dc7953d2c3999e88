"""Files: one key for each, chunks under ChaCha20-Poly1305, padding that hides the size (docs/protocol/e2ee.md §10).

    padded     = file ‖ zeros up to max(4096, Padmé(size))
    chunk i    = ChaCha20-Poly1305(key, nonce = 0^7 ‖ u32 i ‖ u8 last, AD, 64 KiB of `padded`, the last one shorter)
    AD         = H("file", u32 version, u32 chunk size, H("file-metadata", name, media type, u64 size))
    ciphertext = the chunks in order; its SHA-256 stands in the message

The number of a chunk and whether it is the last one are in its nonce: chunks cannot be moved, left out or cut off. A
key encrypts one content only: `FileSealer` makes its own and goes through the file once. Constant memory; no I/O.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from mensajeria.crypto.padding import padme
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import limits
from mensajeria.protocol.encoding import H, u32, u64

CHUNK: Final = limits.FILE_CHUNK
TAG: Final = 16
VERSION: Final = 1
_KEY: Final = 32
_ZEROS: Final = bytes(CHUNK)


class FileSealError(ValueError):
    """Not the ciphertext that the message describes: altered, cut, reordered, extended, or under another name."""


class FileSizeError(ValueError):
    """The content is not as long as announced: it changed while it was read."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the ciphertext is bound to."""

    name: str = field(repr=False)
    media: str
    size: int

    def additional_data(self) -> bytes:
        """AD of every chunk."""
        described = H("file-metadata", self.name.encode(), self.media.encode(), u64(self.size))
        return H("file", u32(VERSION), u32(CHUNK), described)


def padded_size(size: int) -> int:
    """Bytes that are encrypted for a file of `size` bytes."""
    return padme(max(size, limits.FILE_PAD_FROM))


def sealed_size(size: int) -> int:
    """Bytes of the ciphertext of a file of `size` bytes."""
    padded = padded_size(size)
    return padded + TAG * -(-padded // CHUNK)


class FileSealer:
    """Encrypts one file once. `key` and, after the last chunk, `sha256` go into the message."""

    def __init__(self, metadata: Metadata) -> None:
        if not 0 <= metadata.size <= limits.FILE_MAX_BYTES:
            raise FileSizeError("size out of range")
        self.key: Final = Secret(os.urandom(_KEY))
        self._metadata = metadata
        self._hash = hashlib.sha256()
        self._used = False

    @property
    def sha256(self) -> bytes:
        """Of the ciphertext so far."""
        return self._hash.digest()

    def seal(self, content: Iterable[bytes]) -> Iterator[bytes]:
        """The ciphertext's chunks. `content` in pieces of any size.

        Raises:
            FileSizeError: it is shorter or longer than announced; what was yielded must be thrown away.
            RuntimeError: a second call: a key and a nonce would be used twice.
        """
        if self._used:
            raise RuntimeError("a sealer encrypts one content only")
        self._used = True
        return self._seal(content)

    def _seal(self, content: Iterable[bytes]) -> Iterator[bytes]:
        cipher, ad = ChaCha20Poly1305(self.key.reveal()), self._metadata.additional_data()
        total = padded_size(self._metadata.size)
        for index, chunk in enumerate(_chunks(_padded(content, self._metadata.size))):
            last = (index + 1) * CHUNK >= total
            sealed = cipher.encrypt(_nonce(index, last=last), chunk, ad)
            self._hash.update(sealed)
            yield sealed


def open_sealed(sealed: Iterable[bytes], key: Secret, metadata: Metadata, sha256: bytes) -> Iterator[bytes]:
    """The plaintext in pieces, each authenticated. `sealed` in pieces of any size.

    What was yielded counts only once the iterator has ended well: the hash over everything is checked at the end.

    Raises:
        FileSealError: it is not that ciphertext.
    """
    cipher, ad = ChaCha20Poly1305(key.reveal()), metadata.additional_data()
    total, left, digest = padded_size(metadata.size), metadata.size, hashlib.sha256()
    read, index = 0, 0
    for chunk in _chunks(sealed, CHUNK + TAG):
        last = (index + 1) * CHUNK >= total
        digest.update(chunk)
        padded = _open_chunk(cipher, _nonce(index, last=last), chunk, ad)
        read, index = read + len(padded), index + 1
        data = padded[:left]
        if padded.count(0, len(data)) != len(padded) - len(data):
            raise FileSealError("the padding is not zeros")
        left -= len(data)
        if last and read != total:
            raise FileSealError("not as long as its size asks for")
        if data:
            yield data
        if read > total:
            raise FileSealError("longer than its size asks for")
    if read != total:
        raise FileSealError("ends early")
    if not hmac.compare_digest(digest.digest(), sha256):
        raise FileSealError("another ciphertext")


def _open_chunk(cipher: ChaCha20Poly1305, nonce: bytes, chunk: bytes, ad: bytes) -> bytes:
    try:
        return cipher.decrypt(nonce, chunk, ad)
    except InvalidTag as error:
        raise FileSealError("a chunk does not open") from error


def _nonce(index: int, *, last: bool) -> bytes:
    return bytes(7) + u32(index) + (b"\x01" if last else b"\x00")


def _padded(content: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The content, which must be `size` bytes, and its padding."""
    seen = 0
    for piece in content:
        seen += len(piece)
        if seen > size:
            break
        yield piece
    if seen != size:
        raise FileSizeError("the content is not as long as announced")
    missing = padded_size(size) - size
    while missing > 0:
        zeros = _ZEROS[: min(missing, CHUNK)]
        missing -= len(zeros)
        yield zeros


def _chunks(pieces: Iterable[bytes], length: int = CHUNK) -> Iterator[bytes]:
    """The same bytes in pieces of exactly `length`, the last one shorter."""
    kept = bytearray()
    for piece in pieces:
        if not kept and len(piece) == length:  # the usual case: nothing to copy
            yield piece
            continue
        kept += piece
        while len(kept) >= length:
            yield bytes(kept[:length])
            del kept[:length]
    if kept:
        yield bytes(kept)
