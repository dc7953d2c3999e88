"""Small disks that can really be full: for whoever may mount."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


def mount(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0


@contextlib.contextmanager
def small_disk(size: str, owner: tuple[int, int]) -> Iterator[Path]:
    """A disk of that size (as mount takes it) for a user and group; skips the test where none can be made."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs the right to mount")
    folder = Path(tempfile.mkdtemp(prefix="mensajeria-disk-"))
    uid, gid = owner
    if not mount("-t", "tmpfs", "-o", f"size={size},mode=700,uid={uid},gid={gid}", "disk", f"{folder}"):
        folder.rmdir()
        pytest.skip("needs the right to mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)
        folder.rmdir()


def resize(disk: Path, size: str) -> None:
    """Make the disk larger or smaller; never below what is on it."""
    assert mount("-o", f"remount,size={size}", f"{disk}")
