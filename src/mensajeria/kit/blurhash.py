"""BlurHash (https://blurha.sh): a few dozen characters from which a blurred picture is painted before it is fetched.

Our own, because a kept library for these lines would be one more dependency of everybody who installs the client.
"""

from __future__ import annotations

import math
from typing import Final

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~"
_VALUES: Final = {digit: value for value, digit in enumerate(_DIGITS)}
_MAX_COMPONENTS: Final = 9
_HEAD: Final = 6
Colour = tuple[float, float, float]


class BlurhashError(ValueError):
    """Not a blurhash."""


def encode(rgb: bytes, width: int, height: int, across: int = 4, down: int = 3) -> str:
    """The hash of a picture of `width` by `height` RGB pixels. Make it small first: the cost grows with its pixels."""
    if len(rgb) != 3 * width * height or not rgb:
        raise ValueError("not that many pixels")
    linear = [_linear(value) for value in rgb]
    factors = [_factor(linear, width, height, i, j) for j in range(down) for i in range(across)]
    biggest = max((abs(value) for factor in factors[1:] for value in factor), default=0.0)
    quantised = max(0, min(82, math.floor(biggest * 166 - 0.5)))
    scale = (quantised + 1) / 166
    head = _base83((across - 1) + (down - 1) * 9, 1) + _base83(quantised, 1) + _base83(_packed(factors[0]), 4)
    return head + "".join(_base83(_packed_detail(factor, scale), 2) for factor in factors[1:])


def decode(text: str, width: int, height: int) -> bytes:
    """RGB pixels of the blurred picture. Raises BlurhashError."""
    if len(text) < _HEAD or any(char not in _VALUES for char in text):
        raise BlurhashError("not a blurhash")
    down, across = divmod(_value(text[0]), 9)
    across, down = across + 1, down + 1
    if len(text) != 4 + 2 * across * down or down > _MAX_COMPONENTS:
        raise BlurhashError("not as long as it says")
    scale = (_value(text[1]) + 1) / 166
    mean = _value(text[2:6])
    factors: list[Colour] = [(_linear(mean >> 16 & 255), _linear(mean >> 8 & 255), _linear(mean & 255))]
    factors += [_detail(_value(text[at : at + 2]), scale) for at in range(6, len(text), 2)]
    columns = [[math.cos(math.pi * x * i / width) for i in range(across)] for x in range(width)]
    pixels = bytearray()
    for y in range(height):
        rows = [math.cos(math.pi * y * j / height) for j in range(down)]
        for column in columns:
            weights = [row * cos for row in rows for cos in column]
            for channel in range(3):
                pixels.append(_srgb(sum(w * f[channel] for w, f in zip(weights, factors, strict=True))))
    return bytes(pixels)


def _factor(linear: list[float], width: int, height: int, i: int, j: int) -> Colour:
    """How much of the wave (i, j) is in each colour."""
    across = [math.cos(math.pi * i * x / width) for x in range(width)]
    sums = [0.0, 0.0, 0.0]
    for y in range(height):
        weight = math.cos(math.pi * j * y / height)
        start = 3 * y * width
        for channel in range(3):
            row = linear[start + channel : start + 3 * width : 3]
            sums[channel] += weight * sum(map(float.__mul__, across, row))
    norm = (1.0 if i == j == 0 else 2.0) / (width * height)
    return sums[0] * norm, sums[1] * norm, sums[2] * norm


def _packed(colour: Colour) -> int:
    red, green, blue = (_srgb(value) for value in colour)
    return red << 16 | green << 8 | blue


def _packed_detail(colour: Colour, scale: float) -> int:
    red, green, blue = (
        max(0, min(18, math.floor(math.copysign(math.sqrt(abs(value / scale)), value) * 9 + 9.5))) for value in colour
    )
    return red * 361 + green * 19 + blue


def _detail(value: int, scale: float) -> Colour:
    red, green, blue = value // 361, value // 19 % 19, value % 19
    return _unquantised(red, scale), _unquantised(green, scale), _unquantised(blue, scale)


def _unquantised(value: int, scale: float) -> float:
    signed = (value - 9) / 9
    return math.copysign(signed * signed, signed) * scale


def _linear(value: int) -> float:
    part = value / 255
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4  # noqa: PLR2004 - sRGB's own numbers


def _srgb(value: float) -> int:
    part = max(0.0, min(1.0, value))
    scaled = part * 12.92 if part <= 0.0031308 else 1.055 * part ** (1 / 2.4) - 0.055  # noqa: PLR2004 - sRGB's own numbers
    return int(scaled * 255 + 0.5)


def _base83(value: int, length: int) -> str:
    return "".join(_DIGITS[value // 83 ** (length - place) % 83] for place in range(1, length + 1))


def _value(text: str) -> int:
    value = 0
    for char in text:
        value = value * 83 + _VALUES[char]
    return value
