"""Values of arguments: what a text on the command line must be."""

from __future__ import annotations

import os
from pathlib import Path


def path_from(variable: str) -> Path | None:
    """The path that a variable of the environment names, if it is set."""
    value = os.environ.get(variable)
    return Path(value) if value else None


def count(text: str) -> int:
    """A number of things, from 1."""
    given = int(text)
    if not 1 <= given <= 1_000_000:  # noqa: PLR2004 - far above any use, far below any harm
        raise ValueError(text)
    return given


def port(text: str) -> int:
    """A port of TCP; 0 takes a free one."""
    given = int(text)
    if not 0 <= given <= 0xFFFF:  # noqa: PLR2004 - TCP
        raise ValueError(text)
    return given


def seconds(text: str) -> float:
    """A time to wait."""
    given = float(text)
    if not 0 < given <= 86_400:  # noqa: PLR2004 - a day
        raise ValueError(text)
    return given


def number(text: str) -> int:
    """The id of something: it is given out by the server."""
    if not (text.isascii() and text.isdigit() and len(text) < 16):  # noqa: PLR2004 - below 2^53
        raise ValueError(text)
    return int(text)


def message_id(text: str) -> bytes:
    """A message's id: 32 hexadecimal digits."""
    given = bytes.fromhex(text)
    if len(given) != 16 or len(text) != 32:  # noqa: PLR2004 - as the protocol has it
        raise ValueError(text)
    return given


def timer(text: str) -> int:
    """Seconds after which messages disappear; 0 = never."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):  # noqa: PLR2004 - the client knows the bound
        raise ValueError(text)
    return int(text)
