"""The frozen vectors of the project, as plain text and bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

_FOLDER: Final = Path(__file__).parents[1] / "vectors"


def load(name: str) -> Any:
    return json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))


COMPUTED: Final[dict[str, str]] = load("computed")
SEALED: Final[dict[str, str]] = load("sealed")
GROUPS: Final[dict[str, str]] = load("groups")
HEALING: Final[dict[str, str]] = load("healing")
PROFILES: Final[dict[str, str]] = load("profiles")
BACKUP: Final[dict[str, dict[str, str]]] = load("backup")


def frozen(name: str) -> bytes:
    return bytes.fromhex(COMPUTED[name])


def sealed(name: str) -> bytes:
    return bytes.fromhex(SEALED[name])


# What the vectors were made of; the names are those of tests/vectors.
A: Final = b"a" * 16
B: Final = b"b" * 16
DID: Final = b"d" * 16
MID: Final = b"m" * 16
SERVER: Final = b"s" * 16
CHAT: Final = b"c" * 32
SESSION: Final = b"S" * 32
NOW: Final = 1_700_000_000_000
