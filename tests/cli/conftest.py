from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mensajeria.cli.exit_codes import Exit
from mensajeria.cli.main import main
from tests.cli.operators import Admin


@pytest.fixture(scope="session")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a server that has been made, for every test to copy."""
    folder = tmp_path_factory.mktemp("made") / "data"
    assert main(["admin", "init", "--data-dir", str(folder)]) == Exit.OK
    return folder


@pytest.fixture
def admin(initialised: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Admin:
    shutil.copytree(initialised, tmp_path / "data")
    return Admin(tmp_path / "data", capsys)
