"""A file that one process at a time holds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mensajeria.kit.lockfile import hold

HOLDER = """
import sys, pathlib, mensajeria.kit.lockfile as lockfile
held = lockfile.hold(pathlib.Path(sys.argv[1]))
print(1, flush=True)
input()
"""


def test_whoever_comes_second_is_refused_until_the_first_lets_go(tmp_path: Path) -> None:
    with hold(tmp_path / "lock"), pytest.raises(BlockingIOError):
        hold(tmp_path / "lock")
    hold(tmp_path / "lock").close()


def test_a_process_that_is_killed_lets_go(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"1\n"
        with pytest.raises(BlockingIOError):
            hold(tmp_path / "lock")
        holder.kill()
    hold(tmp_path / "lock").close()


def test_where_it_cannot_be_made_is_another_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        hold(tmp_path / "no folder" / "lock")
