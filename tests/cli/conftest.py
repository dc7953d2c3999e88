from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mensajeria.cli.exit_codes import Exit
from mensajeria.cli.main import main
from tests.cli.operators import Admin
from tests.support.lifeline import MadeOnce


@pytest.fixture(scope="session")
def initialised(made_once: MadeOnce) -> Path:
    """The folder of a server that has been made, for every test to copy."""

    def make(folder: Path) -> None:
        assert main(["admin", "init", "--data-dir", str(folder / "data")]) == Exit.OK

    return made_once("initialised", make) / "data"


@pytest.fixture
def admin(initialised: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Admin:
    shutil.copytree(initialised, tmp_path / "data")
    return Admin(tmp_path / "data", capsys)
