"""Programs that are forked from a process that has loaded them end, speak and die like those that Python starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.cli.servers import clean_environment
from tests.support.warm import Nursery

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != "linux" or "MENSAJERIA_TEST_AS_SHIPPED" in os.environ, reason="every program starts as ever"
    ),
]
COMMAND = [sys.executable, "-m", "mensajeria.cli"]


def run(*arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, env=clean_environment(**extra), check=False, timeout=60
    )


def cold(*arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        env=clean_environment(PYTHONOPTIMIZE="1", **extra),
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    "arguments",
    [("--version",), ("nonsense",), ("history", "--profile", "nowhere", "--with", "ana", "--json"), ()],
    ids=["version", "usage", "failure", "help"],
)
@pytest.mark.parametrize("language", ["en", "es"])
def test_status_and_words_are_those_of_a_cold_start(arguments: tuple[str, ...], language: str) -> None:
    warm, usual = (start(*arguments, MENSAJERIA_LANG=language) for start in (run, cold))
    assert (warm.returncode, warm.stdout, warm.stderr) == (usual.returncode, usual.stdout, usual.stderr)


def test_the_program_runs_in_the_folder_it_is_given_and_is_killed_like_a_child(tmp_path: Path) -> None:
    command = [*COMMAND, "serve", "--port", "0", "--data-dir", "data"]
    with subprocess.Popen(command, cwd=tmp_path, env=clean_environment(), stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert any(line.startswith("listening on ") for line in server.stdout)
        assert (tmp_path / "data").is_dir()
        server.kill()
        assert server.wait(30) == -signal.SIGKILL


@pytest.mark.parametrize(
    ("args", "extra", "taken"),
    [
        ([*COMMAND, "serve"], {}, True),
        ([*COMMAND, "serve"], {"MENSAJERIA_LANG": "es"}, True),
        ([*COMMAND, "serve"], {"PYTHONOPTIMIZE": "2"}, False),
        ([sys.executable, "-m", "pytest"], {}, False),
        ([sys.executable, "-c", "pass"], {}, False),
        ([sys.executable], {}, False),
        (["mensajeria", "serve"], {}, False),
        ("mensajeria serve", {}, False),
    ],
)
def test_only_known_programs_are_taken_with_what_python_has_read_already(
    args: list[str] | str, extra: Mapping[str, str], *, taken: bool
) -> None:
    assert Nursery().takes(args, {**os.environ, **extra}) is taken
