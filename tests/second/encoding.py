"""Hashes, encodings and sealing, written from docs/protocol/e2ee.md §3 alone. Nothing of the program is used here."""

from __future__ import annotations

import hashlib
import hmac
import struct
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PREFIX: Final = b"mensajeria/1/"
_WIDTHS: Final = {0xC4: (1, 0), 0xC5: (2, 1 << 8), 0xC6: (4, 1 << 16), 0xD9: (1, 32), 0xDA: (2, 1 << 8)}
_LISTS: Final = {0xDC: (2, 16), 0xDD: (4, 1 << 16), 0xDE: (2, 16), 0xDF: (4, 1 << 16)}
_NUMBERS: Final = {0xCC: (1, 1 << 7), 0xCD: (2, 1 << 8), 0xCE: (4, 1 << 16), 0xCF: (8, 1 << 32)}
_DEEPEST: Final = 16


class RefusedError(ValueError):
    """Not the one form that the document allows."""


def u32(number: int) -> bytes:
    return struct.pack(">I", number)


def u64(number: int) -> bytes:
    return struct.pack(">Q", number)


def cat(*parts: bytes) -> bytes:
    return b"".join(u32(len(part)) + part for part in parts)


def h(label: str, *parts: bytes) -> bytes:
    return hashlib.sha256(PREFIX + label.encode() + b"\0" + cat(*parts)).digest()


def signature_input(ctx: str, body: bytes) -> bytes:
    return PREFIX + ctx.encode() + b"\0" + hashlib.sha256(body).digest()


def hkdf(key: bytes, info: bytes, salt: bytes | None = None, length: int = 32) -> bytes:
    return HKDF(hashes.SHA256(), length, salt=salt, info=info).derive(key)


def mac(key: bytes, *message: bytes) -> bytes:
    return hmac.new(key, b"".join(message), hashlib.sha256).digest()


def unseal(key: bytes, label: str, sealed: bytes, *ids: bytes) -> bytes:
    """salt(16) ‖ ChaCha20-Poly1305 under HKDF(K, salt, label), zero nonce, AD = H(label, ids)."""
    salt, ciphertext = sealed[:16], sealed[16:]
    return ChaCha20Poly1305(hkdf(key, label.encode(), salt)).decrypt(bytes(12), ciphertext, h(label, *ids))


def padme(length: int) -> int:
    """The next length whose last e - floor(log2 e) - 1 bits are 0, where e = floor(log2 length)."""
    exponent = max(length, 1).bit_length() - 1
    zeros = max(exponent - exponent.bit_length(), 0)
    return (length + (1 << zeros) - 1) >> zeros << zeros


def message_bucket(length: int) -> int:
    whole = length + 4
    return -(-whole // 64) * 64 if whole <= 1024 else padme(whole)


def todevice_bucket(length: int) -> int:
    return next(bucket for bucket in (1024, 4096, 16384) if length + 4 <= bucket)


def unpad(padded: bytes, *, to_device: bool = False) -> bytes:
    (length,) = struct.unpack(">I", padded[:4])
    data, zeros = padded[4 : 4 + length], padded[4 + length :]
    if len(data) != length or zeros.strip(b"\0"):
        raise RefusedError("padding")
    if len(padded) != (todevice_bucket(length) if to_device else message_bucket(length)):
        raise RefusedError("bucket")
    return data


def read(data: bytes) -> Any:
    """One msgpack value in the one allowed form: shortest, sorted keys, none twice, nothing behind it."""
    value, end = _read(data, 0, 0)
    if end != len(data):
        raise RefusedError("bytes behind the value")
    return value


def _take(data: bytes, at: int, count: int) -> tuple[bytes, int]:
    if at + count > len(data):
        raise RefusedError("cut off")
    return data[at : at + count], at + count


def _sized(data: bytes, at: int, form: tuple[int, int]) -> tuple[int, int]:
    """A length or number of so many bytes, which a shorter form could not have held."""
    width, least = form
    raw, at = _take(data, at, width)
    number = int.from_bytes(raw, "big")
    if number < least:
        raise RefusedError("not the shortest form")
    return number, at


def _read(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    if depth > _DEEPEST:
        raise RefusedError("too deep")
    (tag,), at = _take(data, at, 1)
    if tag < 0x80:
        return tag, at
    if tag >= 0xE0:
        return tag - 256, at
    if tag in {0xC0, 0xC2, 0xC3}:
        return {0xC0: None, 0xC2: False, 0xC3: True}[tag], at
    if tag in _NUMBERS:
        return _sized(data, at, _NUMBERS[tag])
    if tag in _WIDTHS or 0xA0 <= tag < 0xC0:
        return _read_bytes(data, at, tag)
    return _read_many(data, at, tag, depth)


def _read_bytes(data: bytes, at: int, tag: int) -> tuple[bytes | str, int]:
    length, at = (tag & 31, at) if tag < 0xC0 else _sized(data, at, _WIDTHS[tag])
    raw, at = _take(data, at, length)
    return (raw.decode() if tag < 0xC0 or tag >= 0xD9 else raw), at


def _read_many(data: bytes, at: int, tag: int, depth: int) -> tuple[Any, int]:
    if tag < 0xA0:
        count = tag & 15
    elif tag in _LISTS:
        count, at = _sized(data, at, _LISTS[tag])
    else:
        raise RefusedError(f"a form that no record has: {tag:#x}")
    is_map = tag < 0x90 or tag in {0xDE, 0xDF}
    values: list[Any] = []
    for _ in range(count * (2 if is_map else 1)):
        value, at = _read(data, at, depth + 1)
        values.append(value)
    if not is_map:
        return values, at
    keys = values[::2]
    if not all(isinstance(key, str) for key in keys) or keys != sorted(set(keys)):
        raise RefusedError("keys")
    return dict(zip(keys, values[1::2], strict=True)), at
