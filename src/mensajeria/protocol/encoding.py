"""The byte encoding under every hash, signature and stored record.

`cat` is injective (length-prefixed), `H` is domain-separated SHA-256, and `decode_strict` accepts exactly one
encoding of each value: map keys sorted, shortest forms, no unknown or duplicate key. It checks this by encoding the
value again and comparing, so that there is no second parser to keep in step.
"""

from __future__ import annotations

import hashlib
from typing import Final, TypeVar

import msgspec

from mensajeria.protocol import limits

PREFIX: Final = b"mensajeria/1/"
T = TypeVar("T")
_encoder = msgspec.msgpack.Encoder(order="sorted")


class MalformedError(ValueError):
    """The bytes are not the one valid encoding of the expected type."""


class NewerVersionError(MalformedError):
    """Well-formed enough to show a version or suite that this program does not know yet."""


class _Versioned(msgspec.Struct, gc=False):
    v: int


_version_decoder = msgspec.msgpack.Decoder(_Versioned)


def cat(*parts: bytes) -> bytes:
    """For each part: u32 length, then the bytes."""
    return b"".join([len(p).to_bytes(4, "big") + p for p in parts])


def H(label: str, *parts: bytes) -> bytes:  # noqa: N802 - the specification's own name
    """SHA-256("mensajeria/1/" ‖ label ‖ 0x00 ‖ cat(parts)), 32 bytes: every hash, AD, HPKE info and salt."""
    return hashlib.sha256(PREFIX + label.encode("ascii") + b"\x00" + cat(*parts)).digest()


def u64(value: int) -> bytes:
    """Eight bytes, big-endian."""
    return value.to_bytes(8, "big")


def u32(value: int) -> bytes:
    """Four bytes, big-endian."""
    return value.to_bytes(4, "big")


def encode(value: object) -> bytes:
    """Canonical msgpack: map keys sorted, shortest forms."""
    return _encoder.encode(value)


def decode_strict(data: bytes, decoder: msgspec.msgpack.Decoder[T], *, max_size: int = limits.MAX_SIGNED_BODY) -> T:
    """Decode canonical msgpack into the decoder's type.

    Raises:
        MalformedError: too large, not that type, or not the canonical encoding of it.
    """
    if len(data) > max_size:
        raise MalformedError("too large")
    try:
        value = decoder.decode(data)
        canonical = _encoder.encode(value)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MalformedError("malformed") from error
    if canonical != data:
        raise MalformedError("not canonical")
    return value


def decode_versioned(
    data: bytes,
    decoder: msgspec.msgpack.Decoder[T],
    *,
    version: int = limits.PROTOCOL_VERSION,
    max_size: int = limits.MAX_SIGNED_BODY,
) -> T:
    """`decode_strict` for a map with a field `v`, which is looked at first.

    Raises:
        NewerVersionError: `v` is above `version`: the sender runs a newer program.
        MalformedError: anything else that is not the canonical encoding.
    """
    if len(data) > max_size:
        raise MalformedError("too large")
    try:
        seen = _version_decoder.decode(data).v
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MalformedError("malformed") from error
    if seen > version:
        raise NewerVersionError(f"version {seen} needs a newer program")
    if seen != version:
        raise MalformedError("unknown version")
    return decode_strict(data, decoder, max_size=max_size)
