"""What pydantic refuses, as findings: its own words are English, and may repeat a value that is secret."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pydantic_core import PydanticCustomError

from mensajeria.server.findings import Finding, Found

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_CODES: Final = frozenset(Finding)
_CHOICE: Final = re.compile(r"'([^']*)'")


def refusal(found: Found) -> PydanticCustomError:
    """What a validator of the settings raises; `refused` gets the finding back."""
    return PydanticCustomError(found.code.value, str(found), dict(found.params))


def refused(prefix: str, error: ErrorDetails) -> Found:
    """Why pydantic did not take a setting."""
    kind, about = error["type"], error.get("ctx", {})
    if kind in _CODES:
        return Found(Finding(kind), about)
    name = prefix + str(error["loc"][0]).upper() if error["loc"] else prefix
    return _bound(kind, name, about) or _form(kind, name, about)


def _bound(kind: str, name: str, about: dict[str, int]) -> Found | None:
    match kind:
        case "greater_than_equal":
            return Finding.SETTING_TOO_SMALL(name=name, least=about["ge"])
        case "less_than_equal":
            return Finding.SETTING_TOO_LARGE(name=name, most=about["le"])
        case "string_too_short" | "too_short":
            return Finding.SETTING_TOO_SHORT(name=name, least=about["min_length"])
        case "string_too_long" | "too_long":
            return Finding.SETTING_TOO_LONG(name=name, most=about["max_length"])
        case _:
            return None


def _form(kind: str, name: str, about: dict[str, str]) -> Found:
    match kind:
        case "int_parsing" | "int_type" | "int_from_float" | "int_parsing_size":
            return Finding.SETTING_NO_NUMBER(name=name)
        case "bool_parsing" | "bool_type":
            return Finding.SETTING_NO_SWITCH(name=name)
        case "literal_error":
            return Finding.SETTING_NO_CHOICE(name=name, choices=", ".join(_CHOICE.findall(about["expected"])))
        case "string_pattern_mismatch":  # each pattern is one of a URL
            return Finding.SETTING_NO_URL(name=name)
        case _:
            return Finding.SETTING_INVALID(name=name, cause=kind)
