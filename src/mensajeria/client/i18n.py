"""One catalogue of sentences for everything a person reads: command line, desktop, errors.

Sentences lie in ``strings/<language>.toml`` under dotted names. A table with the keys ``one`` and ``other`` is a
plural form and is
chosen by the parameter ``count``. Placeholders are ``{name}``; they are replaced literally, so that text from other
people
can hold braces.
"""

from __future__ import annotations

import errno
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LANGUAGES: Final = ("es", "en")
"""Languages with a catalogue."""

PLURAL_FORMS: Final = frozenset({"one", "other"})
_UNITS: Final = (("weeks", 604800), ("days", 86400), ("hours", 3600), ("minutes", 60), ("seconds", 1))
_REFUSALS: Final = {
    "ENOENT": "missing",
    "EACCES": "forbidden",
    "EPERM": "forbidden",
    "ENOSPC": "full",
    "EDQUOT": "full",
    "EROFS": "read_only",
    "EISDIR": "folder",
    "ENOTDIR": "no_folder",
    "ENAMETOOLONG": "long_name",
}
_FOLDER: Final = Path(__file__).parent / "strings"
"""Beside this file; importlib.resources would double the time that `mensajeria --help` takes to load."""
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


class UnknownLanguageError(ValueError):
    """There is no catalogue for this language."""


class MissingStringError(KeyError):
    """A sentence was asked for that is not in the catalogue: a mistake in the program."""


class Translator:
    """Sentences in one language, which can be changed at any time. Not for sharing between threads."""

    def __init__(self, language: str = "es") -> None:
        """Raises ``UnknownLanguageError``."""
        self._language = language
        self._strings = catalogue(language)

    @property
    def language(self) -> str:
        """The language in force."""
        return self._language

    def set_language(self, language: str) -> None:
        """Change the language of all later sentences. Raises ``UnknownLanguageError``."""
        self._strings = catalogue(language)
        self._language = language

    def tr(self, key: str, **params: object) -> str:
        """The sentence ``key`` with its placeholders filled. Raises ``MissingStringError``."""
        return fill(self._template(key, params), params)

    def error(self, code: str, params: Mapping[str, object] | None = None) -> str:
        """The sentence of an error code.

        A code that is not known here (a newer server) gets a general one that names it.
        """
        known = f"error.{code}" in self._strings
        return self.tr(f"error.{code}", **(params or {})) if known else self.tr("error.unknown", code=code)

    def reason(self, error: OSError) -> str:
        """What the system refused: a sentence for what people meet, else the name of the error, to look up."""
        name = errno.errorcode.get(error.errno or 0, type(error).__name__)
        kind = _REFUSALS.get(name)
        return name if kind is None else self.tr(f"refusal.{kind}")

    def span(self, seconds: int) -> str:
        """A length of time in the largest unit that divides it: "1 week", "90 minutes"."""
        unit, length = next((name, length) for name, length in _UNITS if seconds % length == 0)
        return self.tr(f"span.{unit}", count=seconds // length)

    def timer(self, name: str, seconds: str) -> str:
        """What a notice of changed disappearing messages says."""
        known = seconds.isascii() and seconds.isdigit() and int(seconds) > 0
        if not known:
            return self.tr("service.timer_off", name=name)
        return self.tr("service.timer_changed", name=name, time=self.span(int(seconds)))

    def has(self, key: str) -> bool:
        """Whether the catalogue has the sentence ``key``."""
        return key in self._strings or f"{key}.other" in self._strings

    def _template(self, key: str, params: Mapping[str, object]) -> str:
        if key in self._strings:
            return self._strings[key]
        form = "one" if params.get("count") == 1 else "other"
        try:
            return self._strings[f"{key}.{form}"]
        except KeyError:
            raise MissingStringError(key) from None


def fill(template: str, params: Mapping[str, object]) -> str:
    """Replace each ``{name}`` that has a parameter; what is put in is not looked at again."""
    return _PLACEHOLDER.sub(lambda match: str(params.get(match[1], match[0])), template)


def placeholders(template: str) -> frozenset[str]:
    """Names of the placeholders in a sentence."""
    return frozenset(_PLACEHOLDER.findall(template))


@cache
def catalogue(language: str) -> Mapping[str, str]:
    """All sentences of a language under their dotted names. Raises ``UnknownLanguageError``."""
    if language not in LANGUAGES:
        raise UnknownLanguageError(language)
    text = _FOLDER.joinpath(f"{language}.toml").read_text(encoding="utf-8")
    return dict(_flatten("", tomllib.loads(text)))


def _flatten(prefix: str, table: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flatten(f"{prefix}{name}.", value)
        else:
            yield f"{prefix}{name}", str(value)
