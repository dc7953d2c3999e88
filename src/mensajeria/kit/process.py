"""What every process of the program does first."""

from __future__ import annotations

import sys


def forbid_core_dumps() -> None:
    """A crash must not write the memory, with its keys and texts, to the disk. Child processes inherit this.

    A program to which the system pipes core dumps is told the limit, too; it is up to it to obey.
    """
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 - not there on Windows

    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
