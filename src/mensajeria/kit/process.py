"""What every process of the program does first."""

from __future__ import annotations

import contextlib
import sys
from typing import Final

MANY_FILES: Final = 1 << 20
"""More than one process will ever have open; the system's own bound may be "none", which not every system accepts."""


def forbid_core_dumps() -> None:
    """A crash must not write the memory, with its keys and texts, to the disk. Child processes inherit this.

    A program to which the system pipes core dumps is told the limit, too; it is up to it to obey.
    """
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 - not there on Windows

    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def allow_many_files() -> None:
    """A connection is an open file: use what the system allows, not the 1,024 that a shell begins with."""
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 - not there on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MANY_FILES if hard == resource.RLIM_INFINITY else min(hard, MANY_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
