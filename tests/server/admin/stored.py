"""What lies in the data folder of a server that does not run."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from mensajeria.server.settings import Settings

FILE_IDS = tuple(bytes([number]) * 16 for number in range(1, 5))
WHOLE, DELETED, UNFINISHED, UNKNOWN = FILE_IDS
"""Files: with row and bytes; a row whose bytes are gone; an upload under way; bytes that no row knows."""


def settings_of(folder: Path) -> Settings:
    return Settings.model_validate({"data_dir": folder})


@contextmanager
def changing(folder: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(folder / "mensajeria.db")) as db, db:
        yield db


def ask(folder: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(folder / "mensajeria.db")) as db:
        return db.execute(statement).fetchall()


def upload(folder: Path, file_id: bytes, content: bytes, *, end: str = "") -> None:
    name = file_id.hex()
    place = folder / "files" / name[:2] / (name + end)
    place.parent.mkdir(parents=True)
    place.write_bytes(content)


def names(folder: Path) -> list[str]:
    """Of what lies in a folder, if it is there."""
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []
