"""The checks of tests/conftest.py must themselves fail when they should: proved by running pytest on small tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CASES = {
    "an error in the log": (
        "import logging\ndef test_it(): logging.getLogger('x').error('lost a message')",
        "lost a message",
    ),
    "a task that died unnoticed": (
        "import asyncio\nasync def die(): raise RuntimeError('unnoticed')\n"  # noqa: ISC004 - two lines of one program
        "async def test_it(): task = asyncio.create_task(die()); await asyncio.sleep(0); await asyncio.sleep(0)\n",
        "Task exception was never retrieved",
    ),
    "a warning": ("import warnings\ndef test_it(): warnings.warn('old ways')", "UserWarning: old ways"),
    "a held loop": (
        "import time\nasync def test_it(loop_lag):\n    time.sleep(0.05); await loop_lag.assert_below(0.03)\n",
        "the event loop was held for",
    ),
    "a mark that does not exist": ("import pytest\n@pytest.mark.sloow\ndef test_it(): pass", "sloow"),
}


def run_pytest(source: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    test = folder / "test_case.py"
    test.write_text(source)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:randomly", "-p", "no:cacheprovider"]
    command += ["-c", str(ROOT / "pyproject.toml"), f"--rootdir={ROOT}", "-p", "tests.conftest", *arguments, str(test)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(("source", "message"), CASES.values(), ids=list(CASES))
def test_each_check_fails_a_test_that_deserves_it(source: str, message: str, tmp_path: Path) -> None:
    result = run_pytest(source, tmp_path)
    assert result.returncode != 0
    assert message in result.stdout + result.stderr


@pytest.mark.slow
def test_announced_errors_and_good_tests_pass(tmp_path: Path) -> None:
    source = (
        "import logging, pytest\n"
        "@pytest.mark.allow_log_errors('expected .*')\n"
        "def test_announced(): logging.getLogger('x').error('expected trouble')\n"
        "async def test_good(loop_lag): await loop_lag.assert_below(1.0)\n"
    )
    result = run_pytest(source, tmp_path)
    assert result.returncode == 0, result.stdout
    assert "2 passed" in result.stdout
