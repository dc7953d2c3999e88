"""A message body before padding: a flag byte (0 = as it is, 1 = zstd), then the data."""

from __future__ import annotations

from typing import Final

import zstandard

from mensajeria.protocol import limits

COMPRESS_FROM: Final = 512
"""Below this, padding hides whatever compression would win."""
_PLAIN: Final = b"\x00"
_ZSTD: Final = b"\x01"
_LEVEL: Final = 3
_WINDOW: Final = 1 << 20


class BodyError(ValueError):
    """Not a packed body, or larger than allowed when unpacked."""


def pack_body(data: bytes, *, compress: bool) -> bytes:
    """With its flag; compressed only where it is allowed and gets smaller."""
    if compress and len(data) >= COMPRESS_FROM:
        packed = zstandard.ZstdCompressor(level=_LEVEL).compress(data)
        if len(packed) < len(data):
            return _ZSTD + packed
    return _PLAIN + data


def unpack_body(packed: bytes) -> bytes:
    """The data, at most 1 MiB, however small the packed form is.

    Raises:
        BodyError: it is not one.
    """
    flag, data = packed[:1], packed[1:]
    if flag == _PLAIN:
        return data
    if flag != _ZSTD:
        raise BodyError("unknown flag")
    try:
        # The declared size is checked first: the library would allocate whatever the frame declares.
        size = zstandard.get_frame_parameters(data).content_size
        if not 0 < size <= limits.MAX_DECOMPRESSED:
            raise BodyError("declared size out of bounds")
        decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
        return decompressor.decompress(data, max_output_size=limits.MAX_DECOMPRESSED, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise BodyError("not a zstd frame") from error
