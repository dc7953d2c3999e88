from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from mensajeria.cli.exit_codes import Exit
from tests.cli.servers import clean_environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
DEMO = [sys.executable, "-m", "mensajeria.cli", "demo"]
HEADLESS = {"DISPLAY": "", "WAYLAND_DISPLAY": ""}


@pytest.mark.parametrize("language", ["es", "en"])
def test_without_a_display_the_exchange_is_told_and_the_demo_ends_by_itself(language: str, tmp_path: Path) -> None:
    environment = clean_environment(MENSAJERIA_LANG=language, TMPDIR=str(tmp_path), **HEADLESS)
    done = subprocess.run(DEMO, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (Exit.OK, "")
    ana = "¿Un café a las cinco en la plaza?" if language == "es" else "Coffee at five, on the square?"
    assert done.stdout.count(ana) == 2, "what Ana types and what Bruno reads"
    assert len(re.findall(r"^  │ 00[0-9a-f]0  ", done.stdout, re.MULTILINE)) >= 16, "the bytes of both rows"
    times = [float(found) for found in re.findall(r"([0-9.]+) ms", done.stdout)]
    assert len(times) == 8
    assert times[:4] == sorted(times[:4])
    assert times[4:] == sorted(times[4:])
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)])
def test_the_demo_can_be_stopped_at_any_moment_and_cleans_up(number: signal.Signals, tmp_path: Path) -> None:
    environment = clean_environment(TMPDIR=str(tmp_path), **HEADLESS)
    demo = subprocess.Popen(DEMO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert demo.stdout is not None
    while "Server at" not in demo.stdout.readline():
        assert demo.poll() is None
    time.sleep(0.3)
    demo.send_signal(number)
    time.sleep(0.05)
    demo.send_signal(number)  # impatience, or one for the process and one for its group
    _, errors = demo.communicate(timeout=60)
    assert (demo.returncode, errors) == (Exit.OK, "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_with_a_display_two_windows_open_and_ctrl_c_closes_them() -> None:
    with tempfile.TemporaryDirectory(prefix="m-") as short:  # the path of a window's socket is bounded
        watch_two_windows(Path(short))


def watch_two_windows(tmp_path: Path) -> None:
    environment = clean_environment(TMPDIR=str(tmp_path), DISPLAY=":none", QT_QPA_PLATFORM="offscreen")
    demo = subprocess.Popen(DEMO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert demo.stdout is not None
    while "Two windows are open" not in demo.stdout.readline():
        assert demo.poll() is None
    folder = next(tmp_path.iterdir())
    deadline = time.monotonic() + 60
    while not all((folder / name / "window.sock").exists() for name in ("ana", "bruno")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert demo.poll() is None
    demo.send_signal(signal.SIGINT)
    _, errors = demo.communicate(timeout=60)
    lines = [line for line in errors.splitlines() if "propagateSizeHints" not in line]  # the offscreen platform's own
    assert (demo.returncode, lines) == (Exit.OK, [])
    assert list(tmp_path.iterdir()) == []


def test_keep_leaves_the_folder(tmp_path: Path) -> None:
    command = [*DEMO, "--terminal", "--keep", str(tmp_path / "kept")]
    done = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), timeout=120, check=False)
    assert (done.returncode, done.stderr) == (Exit.OK, "")
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {"server", "ana", "bruno"}
    assert (tmp_path / "kept").stat().st_mode & 0o077 == 0
