"""The catalogue: both languages complete and alike, no key missing in the code, none unused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import mensajeria.client
from mensajeria.client.i18n import (
    LANGUAGES,
    PLURAL_FORMS,
    MissingStringError,
    Translator,
    UnknownLanguageError,
    catalogue,
    fill,
    placeholders,
)
from mensajeria.protocol.errors import Code

SOURCE = Path(mensajeria.client.__file__).parent.parent
READERS = ("client", "desktop", "cli")
_KEY = re.compile(r"[\"']([a-z_]+(?:\.[a-z0-9_]+)+)[\"']")
_PREFIX = re.compile(r"f[\"']([a-z_]+(?:\.[a-z_]+)*\.)\{")


def _base(key: str) -> str:
    head, _, last = key.rpartition(".")
    return head if last in PLURAL_FORMS else key


def _text() -> str:
    files = (path for reader in READERS for path in (SOURCE / reader).rglob("*.py"))
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


@pytest.mark.parametrize("language", LANGUAGES)
def test_languages_have_the_same_keys(language: str) -> None:
    assert set(catalogue(language)) == set(catalogue("es"))


def test_languages_have_the_same_placeholders() -> None:
    spanish, english = catalogue("es"), catalogue("en")
    assert {key: placeholders(text) for key, text in spanish.items()} == {
        key: placeholders(text) for key, text in english.items()
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_plurals_are_whole(language: str) -> None:
    forms: dict[str, set[str]] = {}
    for key in catalogue(language):
        if _base(key) != key:
            forms.setdefault(_base(key), set()).add(key.rpartition(".")[2])
    assert forms
    assert all(found == PLURAL_FORMS for found in forms.values())


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_error_code_has_a_sentence(language: str) -> None:
    missing = [code.value for code in Code if f"error.{code.value}" not in catalogue(language)]
    assert missing == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_error_the_client_names_has_a_sentence(language: str) -> None:
    text = (SOURCE / "client" / "errors.py").read_text(encoding="utf-8")
    named = {
        code.strip().split(" ")[0]
        for group in re.findall(r"Codes?:? ((?:[a-z_]+(?: \([^)]*\))?[,.]\s*)+)", text)
        for code in re.split(r"[,.]", group)
        if re.fullmatch(r"[a-z_]+(?: \([^)]*\))?", code.strip())
    }
    assert len(named) > 20
    assert sorted(code for code in named if f"error.{code}" not in catalogue(language)) == []


def test_every_key_in_the_desktop_exists() -> None:
    heads = {key.split(".")[0] for key in catalogue("es")}
    bases = {_base(key) for key in catalogue("es")}
    text = "\n".join(path.read_text(encoding="utf-8") for path in (SOURCE / "desktop").rglob("*.py"))
    used = {key for key in _KEY.findall(text) if key.split(".")[0] in heads}
    assert used - bases == set()


def test_no_key_is_unused() -> None:
    text = _text()
    used = set(_KEY.findall(text))
    prefixes = tuple(_PREFIX.findall(text))
    # Advice about passwords is chosen by the client's meter, which names it without its prefix.
    dynamic = (*prefixes, "error.", "password.advice.")
    bases = {_base(key) for key in catalogue("es")}
    unused = {key for key in bases if key not in used and not key.startswith(dynamic)}
    assert {key for key in unused if not key.startswith("cli.")} == set()


def test_plural_is_chosen_by_count() -> None:
    translator = Translator("en")
    assert translator.tr("timeline.new", count=1) == "1 new message"
    assert translator.tr("timeline.new", count=2) == "2 new messages"


def test_what_is_filled_in_is_not_read_again() -> None:
    assert fill("{name}: {text}", {"name": "{text}", "text": "x"}) == "{text}: x"


def test_language_can_be_changed() -> None:
    translator = Translator("es")
    before = translator.tr("login.submit")
    translator.set_language("en")
    assert (before, translator.tr("login.submit")) == ("Entrar", "Log in")


def test_unknown_things_are_refused() -> None:
    with pytest.raises(UnknownLanguageError):
        Translator("xx")
    with pytest.raises(MissingStringError):
        Translator("es").tr("no.such.key")
    with pytest.raises(UnknownLanguageError):
        Translator("es").set_language("xx")


def test_an_error_of_a_newer_server_is_named() -> None:
    assert "brand_new" in Translator("en").error("brand_new")
