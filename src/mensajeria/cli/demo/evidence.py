"""What the server really holds: the row of a message, and a search of all its files for a text."""

from __future__ import annotations

import base64
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row of the table `event` as it lies in the database."""

    seq: int
    body: bytes


def stored_row(server_folder: Path, mid: bytes) -> StoredRow:
    """The row with the message id `mid`, read from the server's database file. Raises LookupError."""
    database = server_folder / "mensajeria.db"
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        row = connection.execute("SELECT seq, body FROM event WHERE mid = ?", (mid,)).fetchone()
    if row is None:
        raise LookupError(mid.hex())
    return StoredRow(int(row[0]), bytes(row[1]))


def places_with(folder: Path, text: str) -> list[Path]:
    """Files below `folder` that hold `text` as it is, as UTF-16, in hexadecimal or in base64."""
    needles = tuple(_forms(text))
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and _holds(path.read_bytes(), needles)]


def size_of(folder: Path) -> int:
    """Bytes of all files below `folder`."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _holds(data: bytes, needles: tuple[bytes, ...]) -> bool:
    return any(needle in data for needle in needles)


def _forms(text: str) -> Iterator[bytes]:
    raw = text.encode()
    yield from (raw, text.encode("utf-16-le"), raw.hex().encode(), raw.hex().upper().encode())
    for shift in range(3):
        # Base64 cuts bytes into threes: of the text at each offset, the part that no neighbour touches.
        inner = raw[(3 - shift) % 3 :]
        encoded = base64.b64encode(inner[: len(inner) // 3 * 3])
        yield from (encoded, encoded.replace(b"+", b"-").replace(b"/", b"_"))
