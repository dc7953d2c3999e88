"""Where in a text what was searched for stands. Pure.

As the store finds it: every word that is searched for begins a word of the text, case and accents ignored.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Final

FOUND_MAX: Final = 200
"""Messages that a search inside a chat shows at most; the person is told when there are more."""
_WORDS_MAX: Final = 16
"""As the store: further words are not searched for."""


@lru_cache(maxsize=64)
def words_of(text: str) -> tuple[str, ...]:
    """The words that are searched for, folded."""
    found = "".join(char if _is_letter(char) else " " for char in fold(text)).split()
    return tuple(dict.fromkeys(found[:_WORDS_MAX]))


def stretches(text: str, words: tuple[str, ...]) -> list[tuple[int, int]]:
    """Start and end, in characters, of what the folded ``words`` match in ``text``, in order and without overlap.

    Nothing where one of the words is missing: the store does not find such a text either.
    """
    folded, places = _fold_with_places(text)
    found: list[tuple[int, int]] = []
    missing, at = set(words), 0
    while at < len(folded):
        end = _end_of_word(folded, at)
        matching = [word for word in words if folded.startswith(word, at, end)]
        if matching:
            missing.difference_update(matching)
            start = places[at]
            if not found or start >= found[-1][1]:  # "¼" is two words in one character
                found.append((start, places[at + max(map(len, matching)) - 1] + 1))
        at = max(end, at + 1)
    return [] if missing else found


def _end_of_word(folded: str, start: int) -> int:
    end = start
    while end < len(folded) and _is_letter(folded[end]):
        end += 1
    return end


def fold(text: str) -> str:
    """Case and accents taken away, so that "lucia" finds "Lucía"."""
    return "".join(map(_fold_char, text))


def _fold_with_places(text: str) -> tuple[str, list[int]]:
    """The folded text, and for each of its characters the place in ``text`` that it comes from."""
    folded: list[str] = []
    places: list[int] = []
    for place, char in enumerate(text):
        made = _fold_char(char)
        folded.append(made)
        places += [place] * len(made)
    return "".join(folded), places


@lru_cache(maxsize=4096)
def _fold_char(char: str) -> str:
    decomposed = unicodedata.normalize("NFKD", char).casefold()
    return "".join(part for part in decomposed if not unicodedata.combining(part))


@lru_cache(maxsize=4096)
def _is_letter(char: str) -> bool:
    """What the store takes for a part of a word: letters, numbers, private use."""
    kind = unicodedata.category(char)
    return kind[0] in "LN" or kind == "Co"
