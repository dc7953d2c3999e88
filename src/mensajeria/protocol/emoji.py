"""What counts as one emoji: the grammar of Unicode's UTS #51 (ED-17 with its sequences), without its tables.

No table means that an emoji of a later Unicode is one too. Everything else, letters and words first of all, is not:
nobody can write under somebody else's message with a reaction.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from mensajeria.protocol import limits

_VARIATION: Final = "\ufe0f"
_JOINER: Final = "\u200d"
_KEYCAP: Final = "\u20e3"
_KEYS: Final = frozenset("0123456789#*")
_OTHER_BASES: Final = frozenset("\u203c\u2049\u3030\u303d")
"""Emoji whose category is punctuation."""
_MODIFIERS: Final = range(0x1F3FB, 0x1F400)
_FLAGS: Final = range(0x1F1E6, 0x1F200)
_PICTURES: Final = range(0x1F000, 0x1FB00)
_TAGS: Final = range(0xE0020, 0xE007F)
_TAG_END: Final = "\U000e007f"
_FLAG: Final = 2


def is_emoji(text: str) -> bool:
    """Whether `text` is exactly one emoji, of at most 64 bytes."""
    if not text or len(text.encode("utf-8", "surrogatepass")) > limits.EMOJI_MAX_BYTES:
        return False
    if len(text) == _FLAG and all(ord(char) in _FLAGS for char in text):
        return True
    if text[0] in _KEYS:
        return text[1:] in {_KEYCAP, _VARIATION + _KEYCAP}
    return all(map(_is_element, text.split(_JOINER)))


def _is_element(text: str) -> bool:
    """A picture with what may follow it: a skin tone or the emoji variation, then a tag sequence."""
    if not text or not _is_base(text[0]):
        return False
    rest = text[1:]
    if rest and (rest[0] == _VARIATION or ord(rest[0]) in _MODIFIERS):
        rest = rest[1:]
    if not rest:
        return True
    return len(rest) > 1 and rest[-1] == _TAG_END and all(ord(char) in _TAGS for char in rest[:-1])


def _is_base(char: str) -> bool:
    if ord(char) in _FLAGS or ord(char) in _MODIFIERS:
        return False
    return ord(char) in _PICTURES or char in _OTHER_BASES or unicodedata.category(char) in {"So", "Sm"}
