"""Padding: u32 length ‖ data ‖ zeros, so that a ciphertext tells a bucket, not a length (docs/protocol/e2ee.md §3)."""

from __future__ import annotations

from typing import Final

from mensajeria.protocol import limits

_LENGTH: Final = 4


class PaddingError(ValueError):
    """Not padded as this module pads, or too large to be padded."""


def padme(length: int) -> int:
    """The next Padmé size (Nikitin et al. 2019): at most 12 % more, and only O(log log n) bits of the length show."""
    exponent = length.bit_length() - 1
    mantissa = exponent.bit_length()
    mask = (1 << max(exponent - mantissa, 0)) - 1
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
    data = _data(padded)
    if len(padded) != message_size(len(data)):
        raise PaddingError("wrong bucket")
    return data


def pad_todevice(data: bytes) -> bytes:
    """Pad what Olm encrypts; raises PaddingError above the largest bucket."""
    return _pad(data, todevice_size(len(data)))


def unpad_todevice(padded: bytes) -> bytes:
    """The inverse of `pad_todevice`; raises PaddingError for anything that it would not have produced."""
    data = _data(padded)
    if len(padded) != todevice_size(len(data)):
        raise PaddingError("wrong bucket")
    return data


def _pad(data: bytes, size: int) -> bytes:
    return (len(data).to_bytes(_LENGTH, "big") + data).ljust(size, b"\x00")


def _data(padded: bytes) -> bytes:
    if len(padded) < _LENGTH:
        raise PaddingError("too short")
    length = int.from_bytes(padded[:_LENGTH], "big")
    if length > len(padded) - _LENGTH:
        raise PaddingError("too short")
    if padded.count(0, _LENGTH + length) != len(padded) - _LENGTH - length:
        raise PaddingError("not zeros")
    return padded[_LENGTH : _LENGTH + length]
