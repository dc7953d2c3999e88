"""The table of records of docs/protocol/e2ee.md §15, read by a program: it says what every record holds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from tests.second.encoding import RefusedError, read

PAGE: Final = Path(__file__).parents[2] / "docs" / "protocol" / "e2ee.md"
Shape = tuple[bool, tuple[tuple[str, str], ...]]
_RECORD: Final = re.compile(r"^(\w+)\s+([\[{])([^\]}]*)[\]}]", re.MULTILINE)


def shapes() -> dict[str, Shape]:
    """Name -> (is a map, its fields with their types in order)."""
    section = PAGE.read_text(encoding="utf-8").partition("## 15. Records")[2]
    found = {}
    for name, bracket, inside in _RECORD.findall(section):
        fields = tuple((field.split()[0], field.split()[1]) for field in inside.split(",") if field.strip())
        found[name] = (bracket == "{", fields)
    return found


SHAPES: Final = shapes()


def record(name: str, data: bytes | str) -> Any:
    """The value of a record's bytes (or hex), if it is what the document says. Arrays come as maps of their fields."""
    return shaped(name, read(bytes.fromhex(data) if isinstance(data, str) else data))


def shaped(name: str, value: Any) -> dict[str, Any]:
    is_map, fields = SHAPES[name]
    if is_map:
        if not isinstance(value, dict) or value.keys() != {field for field, _ in fields}:
            raise RefusedError(f"{name}: {value!r}")
    elif not isinstance(value, list) or len(value) != len(fields):
        raise RefusedError(f"{name}: {value!r}")
    held = value if is_map else dict(zip([field for field, _ in fields], value, strict=True))
    return {field: _typed(f"{name}.{field}", kind, held[field]) for field, kind in fields}


def _typed(place: str, kind: str, value: Any) -> Any:
    if kind.endswith("?") and value is None:
        return None
    if kind.endswith("*"):
        if not isinstance(value, list):
            raise RefusedError(place)
        return [_typed(place, kind[:-1], one) for one in value]
    kind = kind.rstrip("?")
    if kind in SHAPES and kind not in {"t", "u", "i", "b"}:
        return shaped(kind, value)
    if not _is(kind, value):
        raise RefusedError(f"{place} is no {kind}: {value!r}")
    return value


def _is(kind: str, value: Any) -> bool:
    if kind[0] == "=":
        return type(value) is int and value == int(kind[1:])
    if kind in {"u", "i"}:
        return type(value) is int and (kind == "i" or value >= 0)
    if kind == "bool":
        return isinstance(value, bool)
    if kind == "t":
        return isinstance(value, str)
    return kind[0] == "b" and isinstance(value, bytes) and (kind == "b" or len(value) == int(kind[1:]))
