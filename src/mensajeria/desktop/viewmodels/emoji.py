"""The emoji that can be chosen, by group, and the words by which they are found: read when they are first wanted."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

GROUPS: Final = ("smileys", "people", "nature", "food", "travel", "activities", "objects", "symbols", "flags")
"""In the order of the table; each has a name `emoji_picker.<group>`."""
_LANGUAGES: Final = {"en": 0, "es": 1}
_COLUMNS: Final = 5


@dataclass(frozen=True, slots=True)
class Emoji:
    """One emoji. Names and words stand in the order English, Spanish."""

    symbol: str
    group: str
    names: tuple[str, str]
    words: tuple[str, str]
    """Name and further words without accents, in small letters."""

    def name(self, language: str) -> str:
        """What it is called."""
        return self.names[_LANGUAGES.get(language, 0)]


@cache
def all_emoji() -> tuple[Emoji, ...]:
    """Every emoji, in the usual order."""
    table = resources.files("mensajeria.desktop").joinpath("assets", "emoji", "table.tsv").read_text("utf-8")
    found, group = [], ""
    for line in table.splitlines():
        if line.startswith("["):
            group = line.strip("[]")
        elif line.count("\t") == _COLUMNS - 1:
            symbol, english, more, spanish, more_spanish = line.split("\t")
            words = (folded(f"{english}, {more}"), folded(f"{spanish}, {more_spanish}"))
            found.append(Emoji(symbol, group, (english, spanish), words))
    return tuple(found)


def of_group(group: str) -> tuple[Emoji, ...]:
    """The emoji of a group."""
    return tuple(each for each in all_emoji() if each.group == group)


def search(text: str, language: str) -> tuple[Emoji, ...]:
    """Emoji whose words begin with what was typed: those of the person's language first, then those of the other."""
    wanted = folded(text).split()
    if not wanted:
        return ()
    own = _LANGUAGES.get(language, 0)
    first = [each for each in all_emoji() if _fits(each.words[own], wanted)]
    then = [each for each in all_emoji() if _fits(each.words[1 - own], wanted) and each not in first]
    # Whose name begins so stands before one that is only tagged so.
    first.sort(key=lambda each: not folded(each.names[own]).startswith(wanted[0]))
    return (*first, *then)


def _fits(words: str, wanted: list[str]) -> bool:
    have = words.replace(",", " ").split()
    return all(any(word.startswith(part) for word in have) for part in wanted)


def folded(text: str) -> str:
    """Small letters without accents."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in plain if not unicodedata.combining(char))
