"""The bootstrap says in one line what a machine lacks."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


bootstrap, check_qt = load("bootstrap"), load("check_qt")


def test_missing_qt_libraries_are_named_with_the_packages_that_hold_them() -> None:
    line = check_qt.advice({"libGL.so.1", "libEGL.so.1"})
    assert "\n" not in line
    assert "missing: libEGL.so.1, libGL.so.1" in line
    assert "apt-get install libegl1 libgl1" in line
    assert "dnf install libglvnd-egl libglvnd-glx" in line
    assert "libnew.so.7" in check_qt.advice({"libnew.so.7"})


@pytest.mark.skipif(sys.platform != "linux", reason="how Linux's loader names a missing library")
def test_a_missing_library_is_found_out_from_qt_s_own_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing = "raise ImportError('libEGL.so.1: cannot open shared object file: No such file or directory')"
    monkeypatch.setattr(check_qt, "START", failing)
    assert check_qt.main() == 1
    assert capsys.readouterr().out.count("\n") == 1
    assert "libegl1" in check_qt.advice({"libEGL.so.1"})


def test_qt_starts_here_or_the_bootstrap_would_have_said_so() -> None:
    result = subprocess.run(
        [sys.executable, ROOT / "tools" / "check_qt.py"], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (0, "")


def test_python_without_venv_is_told_which_package_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["bootstrap.py", "--venv", str(tmp_path / "venv")])
    assert bootstrap.main() == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "apt-get install python3-venv" in error


def test_a_ready_environment_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / bootstrap.BIN / "python"
    python.parent.mkdir()
    python.touch()
    (tmp_path / ".mensajeria-bootstrap").write_text(bootstrap.fingerprint(), encoding="utf-8")
    monkeypatch.setattr(bootstrap, "run", lambda *command, **options: pytest.fail(f"ran {command}"))
    bootstrap.bootstrap(tmp_path, "skip")


def test_each_installer_is_pinned_with_hashes() -> None:
    for name in ("uv", "setuptools"):
        lines = bootstrap.locked_requirement(name).splitlines()
        assert lines[0].startswith(f"{name}==")
        assert len(lines) > 1
        assert all("--hash=sha256:" in line for line in lines[1:])
    with pytest.raises(bootstrap.MissingError, match="does not pin nothing-of-this-name"):
        bootstrap.locked_requirement("nothing-of-this-name")
