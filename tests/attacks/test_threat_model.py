"""docs/threat-model.md names tests that exist, and every attack of this folder."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
NOT_ATTACKS = {"test_honest.py", "test_threat_model.py"}
_NAMED = re.compile(r"`((?:tests/)?[a-z0-9_/]*test_[a-z0-9_]+\.py)::(test_[a-z0-9_]+)`")
_DEFINED = re.compile(r"^(?:async )?def (test_[a-z0-9_]+)\(", re.MULTILINE)


def named() -> set[tuple[Path, str]]:
    text = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
    found = _NAMED.findall(text)
    return {(ROOT / path if path.startswith("tests/") else HERE / path, name) for path, name in found}


def test_every_named_test_exists() -> None:
    missing = [
        (path.name, name)
        for path, name in named()
        if not path.is_file() or name not in _DEFINED.findall(path.read_text(encoding="utf-8"))
    ]
    assert len(named()) > 60
    assert missing == []


def test_every_attack_is_named() -> None:
    """What is left out there is a check of the tools themselves, or the honest other side of an attack."""
    defined = {
        (path, name)
        for path in HERE.glob("test_*.py")
        if path.name not in NOT_ATTACKS
        for name in _DEFINED.findall(path.read_text(encoding="utf-8"))
        if "the_search_finds" not in name and "goes_through" not in name
    }
    assert {(path.name, name) for path, name in defined - named()} == set()
