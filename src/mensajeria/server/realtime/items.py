"""Batch items, encoded once for all who get them, and the batch bodies that carry them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

import msgspec

from mensajeria.protocol import limits
from mensajeria.protocol.frames import BatchItem

_encoder: Final = msgspec.msgpack.Encoder()
_FIXARRAY_MAX: Final = 15
MAX_JOINED: Final = 256 << 10
"""Bytes of items that are joined into one frame; a single larger item travels alone."""


def encode_item(item: BatchItem) -> bytes:
    """The item's msgpack."""
    return _encoder.encode(item)


def batch_body(items: list[bytes]) -> bytes:
    """The msgpack of `Batch` with these encoded items."""
    count = len(items)
    if count <= _FIXARRAY_MAX:
        return b"".join((b"\x91", bytes((0x90 | count,)), *items))
    return b"".join((b"\x91\xdc", struct.pack(">H", count), *items))


def batch_bodies(items: list[bytes]) -> Iterator[bytes]:
    """As many batches as it takes to keep each within its limits, in order."""
    if len(items) <= limits.MAX_BATCH_ITEMS and sum(map(len, items)) <= MAX_JOINED:
        yield batch_body(items)
        return
    part: list[bytes] = []
    size = 0
    for item in items:
        if part and (size + len(item) > MAX_JOINED or len(part) == limits.MAX_BATCH_ITEMS):
            yield batch_body(part)
            part, size = [], 0
        part.append(item)
        size += len(item)
    yield batch_body(part)
