"""`mensajeria health`: every number has words, and the JSON form has the documented fields."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest

from mensajeria.cli.commands import health as command
from mensajeria.cli.console import Console
from mensajeria.client.api import Health
from mensajeria.client.i18n import LANGUAGES, Translator

DOCS = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
WELL = Health(0, 0, 0, 0, 0, None)
ILL = Health(1, 2, 3, 4, 5, 6, dict.fromkeys(("backup", "own_device", "author", "member"), 7), 8, 9, 10, 11, True)


def shown(health: Health, language: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    command._show(health, Console(Translator(language)))
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_number_has_words(language: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(shown(WELL, language, capsys)) == 1
    lines = shown(ILL, language, capsys)
    assert len(lines) == 1 + 9 + 1 + 4 + 1
    assert not any("cli.health" in line for line in lines)
    for number in (1, 2, 3, 4, 5, 8, 9, 10, 11):
        assert any(f" {number}" in line for line in lines)


@pytest.mark.parametrize(
    ("name", "value"),
    [("waiting", 1), ("held", 1), ("lost", 1), ("chats_to_tell", 1), ("new_devices", 1), ("rolled_back", True)],
)
def test_what_waits_for_somebody_is_not_well(name: str, value: int) -> None:
    assert WELL.is_well
    numbers = {field.name: getattr(WELL, field.name) for field in fields(WELL)} | {name: value}
    assert not Health(**numbers).is_well


def test_the_documented_fields_are_the_fields() -> None:
    assert all(f'"{field.name}"' in DOCS for field in fields(Health))
    json.dumps(dict(ILL.healed))
