from __future__ import annotations

import re
from pathlib import Path

from mensajeria.cli.exit_codes import _CLASSES, Exit, exit_of, knows
from mensajeria.cli.failure import CommandError
from mensajeria.protocol.errors import Code

DOCS = Path(__file__).parents[2] / "docs" / "cli.md"


def test_every_error_code_of_the_protocol_has_a_class() -> None:
    assert [code for code in Code if not knows(code)] == []


def test_no_code_belongs_to_two_classes() -> None:
    codes = [code for codes in _CLASSES.values() for code in codes]
    assert len(codes) == len(set(codes))


def test_a_code_of_a_newer_server_is_a_refusal() -> None:
    assert exit_of("something_new") is Exit.REFUSED


def test_a_command_error_carries_the_status_of_its_code_unless_told_otherwise() -> None:
    assert CommandError("weak_password").status is Exit.WEAK_PASSWORD
    assert CommandError("weak_password", status=Exit.USAGE).status is Exit.USAGE


def test_the_documented_table_is_this_table() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [(str(int(status)), status.name.lower()) for status in Exit]


def test_the_documented_codes_are_these_codes() -> None:
    rows = re.findall(r"^\| \d+ \| `(\w+)` \| [^|]+ \| ([^|]*) \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    documented = {name: tuple(re.findall(r"`(\w+)`", codes)) for name, codes in rows}
    assert documented == {status.name.lower(): _CLASSES.get(status, ()) for status in Exit}
