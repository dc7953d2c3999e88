"""Room on a disk, and what a full or failing one is called."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mensajeria.client.errors import InputError, ProfileError

MARGIN: Final = 16 << 20
"""Bytes left free: a store that cannot write loses messages."""
_FULL: Final = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG})


def require_room(folder: Path, size: int) -> None:
    """Raises ProfileError disk_full when `size` bytes more do not fit beside what the program needs."""
    if shutil.disk_usage(folder).free < size + MARGIN:
        raise ProfileError("disk_full", f"{size} bytes")


@contextlib.contextmanager
def guarded_profile() -> Iterator[None]:
    """Writing in the profile's folder: an OSError becomes ProfileError disk_full or store_failed."""
    try:
        yield
    except OSError as error:
        raise ProfileError("disk_full" if error.errno in _FULL else "store_failed", str(error)) from error


@contextlib.contextmanager
def guarded_target() -> Iterator[None]:
    """Writing where the person asked for: an OSError becomes ProfileError disk_full or InputError target_unwritable."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise ProfileError("disk_full", str(error)) from error
        raise InputError("target_unwritable", str(error)) from error
