"""A packed body at its exact limits: what may be declared, and nothing behind it."""

from __future__ import annotations

import pytest
import zstandard

from mensajeria.crypto.body import COMPRESS_FROM, BodyError, pack_body, unpack_body
from mensajeria.protocol import limits


def packed(data: bytes) -> bytes:
    return b"\x01" + zstandard.ZstdCompressor().compress(data)


@pytest.mark.parametrize("size", [1, limits.MAX_DECOMPRESSED])
def test_a_body_may_declare_from_one_byte_to_exactly_the_limit(size: int) -> None:
    assert unpack_body(packed(bytes(size))) == bytes(size)


@pytest.mark.parametrize("size", [0, limits.MAX_DECOMPRESSED + 1])
def test_a_body_that_declares_nothing_or_more_is_refused(size: int) -> None:
    with pytest.raises(BodyError, match="declared size"):
        unpack_body(packed(bytes(size)))


def test_a_body_that_does_not_declare_its_size_is_refused() -> None:
    made = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(100))
    with pytest.raises(BodyError):
        unpack_body(b"\x01" + made)


@pytest.mark.parametrize("behind", [b"x", b"\x00", packed(b"y")[1:]])
def test_nothing_follows_a_compressed_body(behind: bytes) -> None:
    with pytest.raises(BodyError):
        unpack_body(packed(b"hola") + behind)


@pytest.mark.parametrize("flag", [b"", b"\x02", b"\xff"])
def test_another_flag_is_none(flag: bytes) -> None:
    with pytest.raises(BodyError):
        unpack_body(flag)


def test_only_what_gets_smaller_and_is_long_enough_is_compressed() -> None:
    assert pack_body(bytes(COMPRESS_FROM), compress=True)[:1] == b"\x01"
    assert pack_body(bytes(COMPRESS_FROM - 1), compress=True)[:1] == b"\x00"
    assert pack_body(bytes(COMPRESS_FROM), compress=False)[:1] == b"\x00"
