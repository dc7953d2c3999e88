"""A crash writes no memory to the disk: not of the commands, the server among them, and not of the window."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mensajeria.cli.main import main
from mensajeria.desktop.app import main as desktop
from mensajeria.desktop.app.instance import SingleInstance
from mensajeria.kit.process import MANY_FILES, allow_many_files, forbid_core_dumps

if sys.platform == "win32":
    pytest.skip("there are no core dumps", allow_module_level=True)
import resource


@pytest.fixture(autouse=True)
def dumps_allowed() -> Iterator[None]:
    """As a person's shell may have it."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    if before[1] == 0:
        pytest.skip("nobody here may allow core dumps")
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, before)


def test_a_process_that_forbids_them_and_its_children_leave_no_core_dump() -> None:
    forbid_core_dumps()
    assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0
    shown = subprocess.run(["sh", "-c", "ulimit -c"], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "0"


def test_as_many_files_are_opened_as_the_system_allows() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        allow_many_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (min(before[1], MANY_FILES), before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_every_command_forbids_core_dumps(capsys: pytest.CaptureFixture[str]) -> None:
    """`mensajeria serve` is one of them: its workers are its children."""
    assert main(["--version"]) == 0
    assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0


def test_the_window_forbids_core_dumps(qapp: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second start: it ends at once, because the window of the first is open."""
    monkeypatch.setattr(SingleInstance, "claim", lambda _: False)
    assert desktop.run(desktop.StartOptions(tmp_path)) is None
    assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0
