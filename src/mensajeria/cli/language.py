"""Which language the command line speaks: MENSAJERIA_LANG, else the locale's, else English."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mensajeria.client.i18n import LANGUAGES, Translator

if TYPE_CHECKING:
    from collections.abc import Mapping

_VARIABLES: Final = ("MENSAJERIA_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
_FALLBACK: Final = "en"


def language_of(environ: Mapping[str, str]) -> str:
    """The language that the environment asks for (POSIX order; the first variable that is set decides)."""
    value = next((environ[name] for name in _VARIABLES if environ.get(name)), "")
    language = value.replace("-", "_").split("_")[0].split(".")[0].lower()
    return language if language in LANGUAGES else _FALLBACK


def translator_of(environ: Mapping[str, str]) -> Translator:
    """Sentences in that language."""
    return Translator(language_of(environ))
