"""Small private files: written as a whole or not at all, readable by their owner only."""

from __future__ import annotations

import os
from pathlib import Path


def write_private(path: Path, data: bytes) -> None:
    """Replace the file with `data`, mode 0600, durable when it returns. Raises OSError."""
    draft = path.with_name(path.name + ".new")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0), 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.chmod(0o600)  # a leftover may have had another mode
    draft.replace(path)
    sync_folder(path.parent)


def read_small(path: Path, limit: int) -> bytes | None:
    """The file's bytes, None when there is none. Raises OSError, and ValueError when it is larger than `limit`."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except FileNotFoundError:
        return None
    if len(data) > limit:
        raise ValueError("file too large")
    return data


def sync_folder(folder: Path) -> None:
    """Make a rename in the folder durable, where the system can."""
    if os.name == "posix":
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
