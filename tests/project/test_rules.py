"""docs/protocol/rules.md names tests that exist, for every section of the specification that has rules."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "protocol" / "rules.md").read_text(encoding="utf-8")
SECTIONS = (1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
_NAMED = re.compile(r"`([^`]+)`")
_TEST = re.compile(r"tests/[a-z0-9_/]+/test_[a-z0-9_]+\.py::test_[a-z0-9_]+|tests/test_[a-z_]+\.py::test_[a-z0-9_]+")


def rows() -> list[tuple[str, list[str]]]:
    """Every rule, with the names of its tests."""
    cells = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| ")]
    return [(rule, _NAMED.findall(tests)) for rule, tests in cells if rule != "rule"]


def test_every_named_test_exists() -> None:
    missing = []
    for _, tests in rows():
        for name in tests:
            assert _TEST.fullmatch(name), name
            path, test = name.split("::")
            if not re.search(rf"^(?:async )?def {test}\(", _text(ROOT / path), re.MULTILINE):
                missing.append(name)
    assert missing == []


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def test_every_rule_has_a_test() -> None:
    assert len(rows()) > 130
    assert [rule for rule, tests in rows() if not tests] == []


def test_every_section_with_rules_is_there() -> None:
    there = {
        int(number) for line in PAGE.splitlines() if line.startswith("## ") for number in re.findall(r"§(\d+)", line)
    }
    assert set(SECTIONS) <= there
