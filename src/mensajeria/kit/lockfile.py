"""A file that one process at a time holds."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import IO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


def hold(path: Path) -> IO[bytes]:
    """Hold the file, made when missing, until it is closed; the system lets go when the process dies, however it dies.

    Raises:
        BlockingIOError: it is held already.
        OSError: it cannot be made, or nothing can be held where it lies.
    """
    held = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0)
    try:
        _lock(held)
    except OSError:
        held.close()
        raise
    with contextlib.suppress(OSError):
        held.truncate(0)
        held.write(str(os.getpid()).encode("ascii"))  # for people who look; nothing depends on it
    return held


def _lock(file: IO[bytes]) -> None:
    if sys.platform == "win32":
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError from error
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
