"""Padding: u32 length ‖ data ‖ zeros, so that a ciphertext tells a bucket, not a length (docs/protocol/e2ee.md §3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from mensajeria.protocol import limits
from mensajeria.protocol.encoding import u32

_LENGTH: Final = 4


class PaddingError(ValueError):
    """Not padded as this module pads, or too large to be padded."""


def padme(length: int) -> int:
    """The next Padmé size (Nikitin et al. 2019): at most 12 % more, and only O(log log n) bits of the length show.

    `length` is at least 1.
    """
    exponent = length.bit_length() - 1
    mantissa = exponent.bit_length()
    mask = (1 << exponent - mantissa) - 1
    return (length + mask) & ~mask


def message_size(length: int) -> int:
    """Padded size of a message of `length` bytes: multiples of 64 up to 1 KiB, Padmé above."""
    total = length + _LENGTH
    bucket = limits.MESSAGE_BUCKET
    rounded = -(-total // bucket) * bucket
    return rounded if rounded <= limits.PADME_FROM else padme(total)


def todevice_size(length: int) -> int:
    """Padded size of a to-device message; raises PaddingError above the largest bucket."""
    for bucket in limits.TODEVICE_BUCKETS:
        if length + _LENGTH <= bucket:
            return bucket
    raise PaddingError("too large")


def pad_message(data: bytes) -> bytes:
    """Pad what Megolm encrypts."""
    return _pad(data, message_size(len(data)))


def unpad_message(padded: bytes) -> bytes:
    """The inverse of `pad_message`; raises PaddingError for anything that it would not have produced."""
    return _unpad(padded, message_size)


def pad_todevice(data: bytes) -> bytes:
    """Pad what Olm encrypts; raises PaddingError above the largest bucket."""
    return _pad(data, todevice_size(len(data)))


def unpad_todevice(padded: bytes) -> bytes:
    """The inverse of `pad_todevice`; raises PaddingError for anything that it would not have produced."""
    return _unpad(padded, todevice_size)


def _pad(data: bytes, size: int) -> bytes:
    return (u32(len(data)) + data).ljust(size, b"\x00")


def _unpad(padded: bytes, size_of: Callable[[int], int]) -> bytes:
    length = int.from_bytes(padded[:_LENGTH], "big")
    if len(padded) != size_of(length):  # so the length fits too: a bucket has room for it
        raise PaddingError("wrong bucket")
    data, rest = padded[_LENGTH : _LENGTH + length], padded[_LENGTH + length :]
    if rest != bytes(len(rest)):
        raise PaddingError("not zeros")
    return data
