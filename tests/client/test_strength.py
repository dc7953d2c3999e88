"""Password strength: what guessers try first is weak, what they cannot is accepted, and nothing is asked but length."""

from __future__ import annotations

import time
import tomllib
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mensajeria.client.strength import estimate, guesses_log10
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import limits
from tests.support.examples import examples

ADVICE = "password.advice."


@pytest.mark.parametrize(
    "password",
    [
        "contraseña", "Contraseña123", "password1234", "P@ssw0rd2024", "qwertyuiop12", "asdfghjklñ", "1qaz2wsx3edc",
        "aaaaaaaaaaaa", "abcabcabcabc", "holahola123", "abcdefghijkl", "1234567890", "realmadrid2024", "25/11/1987",
        "mensajeria2026", "drowssap2024", "0192837465",
    ],
)  # fmt: skip
def test_what_is_tried_first_is_refused(password: str) -> None:
    strength = estimate(password, "bruno")
    assert not strength.accepted, strength
    assert strength.score < 2
    assert strength.advice


@pytest.mark.parametrize(
    "password",
    ["cuatro tigres bailan salsa", "correct horse battery staple", "x7Kq92mPz!v", "MiPerroSeLlamaTobi", "ljkwerouiwer"],
)
def test_what_cannot_be_guessed_is_accepted(password: str) -> None:
    strength = estimate(password, "ana")
    assert strength.accepted
    assert strength.score >= 3


def test_the_own_name_does_not_help() -> None:
    assert estimate("tobermory.x2024", "alguien").accepted
    strength = estimate("tobermory.x2024", "tobermory.x")
    assert (strength.accepted, strength.advice) == (False, ADVICE + "contains_name")
    assert not estimate("chat.cooperativa1", "ana", others=("chat.cooperativa",)).accepted


@pytest.mark.parametrize(
    ("password", "advice"),
    [
        ("corta", "too_short"),
        ("contraseña", "common"),
        ("aaaaaaaaaaaaa", "add_words"),
        ("teamomucho123", "one_more_word"),
    ],
)
def test_the_advice_names_the_reason(password: str, advice: str) -> None:
    assert estimate(password).advice == ADVICE + advice


def test_length_is_asked_for_whatever_the_score() -> None:
    assert not estimate("x7Kq92mPz").accepted
    assert estimate("x7Kq92mPz!").accepted
    long = "".join(chr(0x4E00 + 7 * n) for n in range(limits.PASSWORD_MAX_CHARS))
    assert estimate(long).accepted
    assert not estimate(long + "x").accepted


def test_a_secret_and_its_text_are_judged_alike() -> None:
    assert estimate(Secret.from_text("cuatro tigres bailan")) == estimate("cuatro tigres bailan")


def test_every_advice_has_a_sentence_in_both_languages() -> None:
    for language in ("es", "en"):
        text = resources.files("mensajeria.client").joinpath(f"strings/{language}.toml").read_text(encoding="utf-8")
        advice = tomllib.loads(text)["password"]["advice"]
        assert {"too_short", "contains_name", "common", "add_words", "one_more_word"} <= set(advice)


@examples(300)
@given(st.text(st.characters(), max_size=400), st.text(st.characters(), max_size=40))
def test_any_password_is_judged(password: str, handle: str) -> None:
    strength = estimate(password, handle)
    assert 0 <= strength.score <= 4
    assert not (strength.accepted and len(password) < 5)


@examples(100)
@given(st.text("abcñ 19", min_size=1, max_size=30), st.sampled_from("xqz?7"))
def test_one_more_character_never_makes_it_weaker_by_more_than_a_new_word(password: str, more: str) -> None:
    assert guesses_log10(password + more) >= guesses_log10(password) - 1


def test_long_passwords_are_judged_quickly() -> None:
    estimate("warm up")
    start = time.perf_counter()
    estimate("aB1!" * 64)
    assert time.perf_counter() - start < 0.5
