"""Every endpoint against its own description: a real server, real authentication, all checks, in all phases."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.server.process import ServerProcess, World, start_server_process, stopping

PEOPLE = 60
EXAMPLES = os.environ.get("MENSAJERIA_TEST_SPEC_EXAMPLES", "15")
HOOKS = Path(__file__).with_name("hooks.py")
CONFIG = Path(__file__).with_name("schemathesis.toml")


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_no_endpoint_departs_from_its_description(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w", encoding="utf-8") as log:
        server = await asyncio.to_thread(start_server_process, tmp_path / "data", log=log)
    async with stopping(server):
        people = await write_people(server, tmp_path / "people")
        run = await asyncio.to_thread(run_schemathesis, server, people, tmp_path)
        missed = await asyncio.to_thread(unreached, tmp_path / "log", server)
    (tmp_path / "report").write_text(run.stdout, encoding="utf-8")
    assert run.returncode == 0, run.stdout[:20_000] + run.stderr[-2000:]
    assert not missed


def unreached(log: Path, server: ServerProcess) -> set[str]:
    """Operations that never got as far as doing something: the run has shown nothing about them."""
    answered = re.findall(r"method=(\w+) .* route=(\S+) .*status=(\d+)", log.read_text(encoding="utf-8"))
    reached = {f"{method} {route}" for method, route, status in answered if status not in {"400", "401", "405", "429"}}
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/openapi.json", timeout=10) as answer:
        paths = json.load(answer)["paths"]
    return {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods} - reached


async def write_people(server: ServerProcess, file: Path) -> Path:
    """Make people, with chats between them, and write down what is needed to sign as their devices."""
    world = await World.of(server)
    people = await world.people(PEOPLE)
    lines = [json.dumps({"token": world.token(one), "ck": one.ck.reveal().hex()}) for one in people]
    await asyncio.to_thread(file.write_text, "\n".join(lines), encoding="utf-8")
    return file


def run_schemathesis(server: ServerProcess, people: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the program; its output tells how to repeat what it finds."""
    command = [
        *(sys.executable, "-W", "ignore", "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run"),
        f"http://127.0.0.1:{server.port}/openapi.json",
        *("--checks", "all", "--phases", "examples,coverage,fuzzing,stateful", "--max-examples", EXAMPLES),
        *("--continue-on-failure", "--suppress-health-check", "all", "--no-color"),
    ]
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": str(HOOKS),
        "MENSAJERIA_TEST_PEOPLE": str(people),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    return subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=580, check=False
    )
