"""How many guesses a password stands: an honest estimate, so that a person is warned and no rule of symbols is needed.

The cheapest way to build the password from what guessers try first (common words and passwords in Spanish and English,
also with l33t and capitals, the person's own names, sequences, keyboard rows, repetitions, dates), the rest character
by character. The idea is that of zxcvbn (Wheeler, USENIX Security 2016); NIST SP 800-63B asks for length and a
blocklist.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from mensajeria.kit.secrets import Secret
from mensajeria.protocol import limits

SCORES: Final = (3.0, 6.0, 8.0, 10.0)
"""log10 of the guesses from which on the score is 1, 2, 3, 4. A guess costs whoever makes it 0.4 s and 128 MiB."""
ACCEPTED_FROM: Final = 2
_CHARACTER: Final = 1.0
"""log10 of the guesses for one character that belongs to nothing; 10 and not 26, since words are not all listed."""
_MAX_WORD: Final = 24
_MAX_SEEN: Final = 100
"""Characters that are looked at: what is longer is strong by these alone, or a repetition."""
_LEET: Final = str.maketrans("4@301!5$7+896", "aaeoiisstt" + "bgg")
_ROWS: Final = (
    "qwertyuiop",
    "asdfghjklñ",
    "asdfghjkl;",
    "zxcvbnm",
    "qazwsxedcrfvtgbyhnujmikolp",
    "1234567890",
    "0987654321",
)
_MIN_RUN: Final = 3
_MONTHS: Final = 12
_DAYS: Final = 31
_STRONG: Final = 3


@dataclass(frozen=True, slots=True)
class PasswordStrength:
    """`score`: 0 (very weak) to 4 (very strong). `advice`: a key of the catalogue or empty. `accepted`: may be used."""

    score: int
    advice: str
    accepted: bool


def estimate(password: Secret | str, handle: str = "", *, others: tuple[str, ...] = ()) -> PasswordStrength:
    """Judge a password for the user `handle`; `others` are further words that belong to them (the server's name).

    Takes a few milliseconds at most. Never raises, whatever the password holds.
    """
    text = password.reveal().decode("utf-8", "surrogatepass") if isinstance(password, Secret) else password
    names = _names(handle, others)
    guesses = guesses_log10(text, names)
    score = sum(guesses >= bound for bound in SCORES)
    length = len(unicodedata.normalize("NFKC", text))
    fits = limits.PASSWORD_MIN_CHARS <= length <= limits.PASSWORD_MAX_CHARS
    return PasswordStrength(score, _advice(text, names, score, length), fits and score >= ACCEPTED_FROM)


def guesses_log10(text: str, names: Mapping[str, int] | None = None) -> float:
    """log10 of the guesses that find the password, by the cheapest way to build it."""
    seen = _fold(text)[:_MAX_SEEN]
    ways: list[list[tuple[int, float]]] = [[] for _ in range(len(seen) + 1)]
    for start, end, cost in _pieces(seen, text, names or {}):
        ways[end].append((start, cost))
    best = [0.0] * (len(seen) + 1)
    for end in range(1, len(seen) + 1):
        best[end] = best[end - 1] + _CHARACTER
        for start, cost in ways[end]:
            # Each further piece also doubles what must be tried: which kind of piece comes where is not known.
            best[end] = min(best[end], best[start] + cost + (math.log10(2) if start else 0))
    return best[-1]


def _pieces(seen: str, original: str, names: Mapping[str, int]) -> Iterator[tuple[int, int, float]]:
    """Everything in the text that guessers try as one: (start, end, log10 of the guesses)."""
    yield from _words(seen, original, names)
    yield from _runs(seen)
    yield from _repeats(seen)
    yield from _dates(seen)


def _words(seen: str, original: str, names: Mapping[str, int]) -> Iterator[tuple[int, int, float]]:
    ranks = _ranks()
    plain = seen.translate(_LEET)
    same_length = len(seen) == len(original)
    for start in range(len(seen)):
        for end in range(start + 3, min(start + _MAX_WORD, len(seen)) + 1):
            as_is, changed = seen[start:end], plain[start:end]
            extra = math.log10(2) if same_length and original[start:end] != as_is else 0.0  # capitals, accents
            for word, more in ((as_is, 0.0), (changed, math.log10(4)), (as_is[::-1], math.log10(2))):
                rank = names.get(word) or ranks.get(word)
                if rank is not None:
                    yield start, end, math.log10(rank + 1) + more + extra


def _runs(seen: str) -> Iterator[tuple[int, int, float]]:
    """abc, 4321, qwert: neighbours in the alphabet, among digits, or on the keyboard."""
    for start in range(len(seen) - _MIN_RUN + 1):
        for step in (1, -1):
            end = start + 1
            while end < len(seen) and seen[end].isalnum() and ord(seen[end]) - ord(seen[end - 1]) == step:
                end += 1
            if end - start >= _MIN_RUN:
                yield start, end, math.log10(20 * (end - start))
        for row in _ROWS:
            for line in (row, row[::-1]):
                end = start + _MIN_RUN
                while end <= len(seen) and seen[start:end] in line:
                    end += 1
                if end - 1 - start >= _MIN_RUN:
                    yield start, end - 1, math.log10(20 * (end - 1 - start))


def _repeats(seen: str) -> Iterator[tuple[int, int, float]]:
    """aaaa, abcabc: costs what its unit costs, times how often."""
    for size in range(1, len(seen) // 2 + 1):
        start = 0
        while start + 2 * size <= len(seen):
            unit, end = seen[start : start + size], start + size
            while seen.startswith(unit, end):
                end += size
            count = (end - start) // size
            if count >= (3 if size == 1 else 2):
                yield start, end, _unit_cost(unit) + math.log10(count)
                start = end - size
            start += 1


def _unit_cost(unit: str) -> float:
    rank = _ranks().get(unit)
    return math.log10(rank + 1) if rank is not None else len(unit) * _CHARACTER


def _dates(seen: str) -> Iterator[tuple[int, int, float]]:
    """1987, 2026, 251187, 25111987, 25/11/1987."""
    for start in range(len(seen) - 3):
        year = seen[start : start + 4]
        if year.isascii() and year.isdigit() and 1900 <= int(year) <= 2050:  # noqa: PLR2004 - years people write
            yield start, start + 4, 2.0
        for end in range(start + 6, min(start + 10, len(seen)) + 1):
            digits = seen[start:end].translate({ord(mark): None for mark in "/-."})
            if digits.isascii() and digits.isdigit() and len(digits) in {6, 8} and _is_date(digits):
                yield start, end, 4.3


def _is_date(digits: str) -> bool:
    """Day and month, in either order, at the beginning or (behind a year) at the end."""
    pairs = ((int(digits[:2]), int(digits[2:4])), (int(digits[-4:-2]), int(digits[-2:])))
    return any(1 <= min(pair) <= _MONTHS and 1 <= max(pair) <= _DAYS for pair in pairs)


def _advice(text: str, names: Mapping[str, int], score: int, length: int) -> str:
    folded = _fold(text)
    if length < limits.PASSWORD_MIN_CHARS:
        return "password.advice.too_short"
    if score < _STRONG and any(name in folded for name in names):
        return "password.advice.contains_name"
    if score < ACCEPTED_FROM:
        common = folded in _ranks() or folded.translate(_LEET) in _ranks()
        return "password.advice.common" if common else "password.advice.add_words"
    return "" if score > _STRONG else "password.advice.one_more_word"


def _names(handle: str, others: tuple[str, ...]) -> dict[str, int]:
    """What an attacker of this very person tries first."""
    words = (_fold(word) for name in (handle, *others) for word in (name, *name.replace(".", "_").split("_")))
    return {word: 1 for word in words if len(word) >= _MIN_RUN}


@cache
def _ranks() -> Mapping[str, int]:
    """The bundled words with their rank from 1 on; read at the first use (a few milliseconds)."""
    text = resources.files("mensajeria.client").joinpath("common_words.txt").read_text(encoding="ascii")
    words = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {word: rank for rank, word in enumerate(words, start=1)}


def _fold(text: str) -> str:
    """Lower case without accents (but ñ as n), compatibility forms unified."""
    return "".join(char for char in unicodedata.normalize("NFKD", text).lower() if not unicodedata.combining(char))
