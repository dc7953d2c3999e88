"""What the server finds has a code: the command line has its sentence in every language, the guide lists it."""

from __future__ import annotations

import ast
import errno
import re
import socket
import ssl
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

import mensajeria.server
from mensajeria.client.i18n import LANGUAGES, PLURAL_FORMS, catalogue, placeholders
from mensajeria.server.admin.audit import Act
from mensajeria.server.admin.records import State, Subject
from mensajeria.server.findings import Finding, of_system

SOURCE = Path(mensajeria.server.__file__).parents[1]
PLACES = [path for part in ("server", "cli") for path in (SOURCE / part).rglob("*.py")]
GUIDE = Path(__file__).parents[2] / "docs" / "cli.md"
_ROW = re.compile(r"`([a-z_]+)\(([a-z_, ]*)\)`")


@cache
def made() -> dict[str, set[frozenset[str]]]:
    """Each code that the program names somewhere, with the parameters it is made with at each place."""
    found: dict[str, set[frozenset[str]]] = {}
    texts = [path.read_text(encoding="utf-8") for path in PLACES]
    for node in (node for text in texts if "Finding." in text for node in ast.walk(ast.parse(text))):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="Finding"), attr=member), keywords=given):
                found.setdefault(Finding[member].value, set()).add(frozenset(str(one.arg) for one in given))
            case ast.Attribute(value=ast.Name(id="Finding"), attr=member):
                found.setdefault(Finding[member].value, set())
            case _:
                pass
    return found


def sentences(language: str) -> dict[str, set[str]]:
    """Each code that has a sentence, with its placeholders."""
    found: dict[str, set[str]] = {}
    for key, text in catalogue(language).items():
        if key.startswith("cli.finding."):
            code, *form = key.removeprefix("cli.finding.").split(".")
            assert set(form) <= PLURAL_FORMS
            found.setdefault(code, set()).update(placeholders(text))
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_finding_has_a_sentence_and_every_sentence_a_finding(language: str) -> None:
    assert set(sentences(language)) == {one.value for one in Finding}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_sentence_is_filled_with_what_its_finding_carries(language: str) -> None:
    filled = sentences(language)
    assert {code: ways for code, ways in made().items() if not ways <= {frozenset(filled[code])}} == {}


def test_every_finding_can_be_found() -> None:
    assert set(made()) == {one.value for one in Finding}


def test_the_documented_findings_are_these() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    documented = {code: set(filter(None, names.split(", "))) for code, names in _ROW.findall(text)}
    assert documented == sentences("en")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("prefix", "names"),
    [
        ("check.", Subject),
        ("admin.check_", State),
        ("audit.", Act),
        ("account_status.", ("active", "suspended", "pending")),
    ],
)
def test_what_is_checked_and_recorded_has_a_name(language: str, prefix: str, names: Iterable[str]) -> None:
    assert [name for name in names if f"cli.{prefix}{name}" not in catalogue(language)] == []


@pytest.mark.parametrize(
    ("error", "code", "cause"),
    [
        (OSError(errno.ENOSPC, "s3cret"), Finding.SYSTEM_FULL, None),
        (PermissionError(errno.EACCES, "s3cret"), Finding.SYSTEM_FORBIDS, None),
        (ConnectionRefusedError(errno.ECONNREFUSED, "s3cret"), Finding.DATABASE_UNREACHABLE, "ECONNREFUSED"),
        (
            OSError("Multiple exceptions: [Errno 111] s3cret, [Errno 111] x"),
            Finding.DATABASE_UNREACHABLE,
            "ECONNREFUSED",
        ),
        (socket.gaierror(-2, "s3cret"), Finding.DATABASE_UNREACHABLE, "gaierror"),
        (TimeoutError(), Finding.DATABASE_UNREACHABLE, "TimeoutError"),
        (ssl.SSLCertVerificationError(1, "s3cret"), Finding.DATABASE_UNREACHABLE, "SSLCertVerificationError"),
        (FileExistsError(errno.EEXIST, "s3cret"), Finding.SYSTEM_NO_FOLDER, None),
        (OSError(errno.EIO, "s3cret"), Finding.SYSTEM_FAILED, "EIO"),
        (OSError("s3cret"), Finding.SYSTEM_FAILED, "OSError"),
    ],
)
def test_what_the_system_refuses_is_told_by_its_kind_alone(error: OSError, code: Finding, cause: str | None) -> None:
    found = of_system(error)
    assert (found.code, found.params.get("cause")) == (code, cause)
    assert "s3cret" not in str(found)
