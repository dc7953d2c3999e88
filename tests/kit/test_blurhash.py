"""Blurhashes agree with the published algorithm, and no text breaks the decoder."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mensajeria.kit import blurhash

RED = bytes([255, 0, 0]) * 32 * 32


def gradient() -> bytes:
    return bytes(value for y in range(24) for x in range(32) for value in (x * 8, y * 10, 255 - x * 8))


def test_it_is_the_hash_that_the_reference_makes() -> None:
    assert blurhash.encode(gradient(), 32, 24) == "L.H27=77w%XAmHWYjuf8gJfjfQfj"


def test_a_plain_picture_comes_back_in_its_colour() -> None:
    pixels = blurhash.decode(blurhash.encode(RED, 32, 32), 4, 4)
    assert len(pixels) == 48
    assert all(abs(got - wanted) <= 25 for got, wanted in zip(pixels, bytes([255, 0, 0]) * 16, strict=True))


@given(st.text(max_size=120))
def test_any_text_is_a_picture_or_the_declared_error(text: str) -> None:
    with contextlib.suppress(blurhash.BlurhashError):
        assert len(blurhash.decode(text, 2, 2)) == 12


@pytest.mark.parametrize("size", [0, 1, 47, 49])
def test_another_number_of_bytes_than_pixels_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="pixels"):
        blurhash.encode(bytes(size), 4, 4)
