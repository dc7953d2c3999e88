"""The public face is small, and every code it can raise or warn with has a sentence in both languages."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import mensajeria.client
from mensajeria.client.api import Cause
from mensajeria.client.i18n import LANGUAGES, catalogue
from mensajeria.protocol.errors import Code

SOURCES = sorted(Path(mensajeria.client.__file__).parent.rglob("*.py"))
RAISES = re.compile(r"(Input|Profile|Network|Security|State|Client|SendBlocked)Error$")


def test_exported_names() -> None:
    assert set(mensajeria.client.__all__) == {
        "Chat", "Client", "ClientError", "EventStream", "InputError", "MessageFailedError", "NetworkError",
        "ProfileError", "RefusedError", "SecurityError", "SendBlockedError", "StateError", "estimate_strength",
        "qr_modules",
    }  # fmt: skip
    for name in mensajeria.client.__all__:
        assert hasattr(mensajeria.client, name)


@cache
def codes() -> set[str]:
    """Every literal code in the client's sources: first argument of an error, second of `out.warn`."""
    found: set[str] = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            at = 0 if RAISES.search(name) or name == "_refuse_fetch" else 1 if name in {"warn", "Violation"} else None
            if at is not None and len(node.args) > at and isinstance(node.args[at], ast.Constant):
                value = node.args[at].value  # type: ignore[attr-defined]
                if isinstance(value, str):
                    found.add(value)
    return found


def test_the_search_finds_codes() -> None:
    assert {"unknown_chat", "row_tampered", "log_gap", "list_forked", "profile_in_use"} <= codes()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_code_has_a_sentence(language: str) -> None:
    sentences = catalogue(language)
    wanted = codes() | {code.value for code in Code} | {"network", "tls", "timeout", "not_a_server"}
    assert {code for code in wanted if f"error.{code}" not in sentences} == set()


def test_every_cause_is_shown_somewhere() -> None:
    assert {cause.value for cause in Cause} == {
        "waiting", "before_joined", "not_kept", "lost", "blocked", "tampered", "missing", "removed_by_server",
        "identity_changed", "identity_renewed", "new_device",
        "group_created", "member_added", "member_removed", "member_left", "history_shared", "role_changed",
        "group_renamed", "timer_changed", "group_superseded", "group_forked", "member_skipped",
        "account_gone",
    }  # fmt: skip
