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

import httpx
import pytest

from mensajeria.kit.clock import SystemClock
from mensajeria.protocol.ids import b64, unb64
from mensajeria.protocol.membership import direct_chat_id
from mensajeria.server.settings import Settings
from mensajeria.server.startup import start_server
from tests.server.enrol import Person, register
from tests.server.fixtures import ON_SQLITE
from tests.server.process import ServerProcess, start_server_process, stopping

PEOPLE = 20
UNREACHABLE = {
    "POST /v1/auth/refresh",
    "POST /v1/chats",
    "POST /v1/chats/{chat_id}/events",
    "PUT /v1/devices/me/prekeys",
}
"""They want a refresh token or a device's signature, which nobody guesses: tests of their own have them."""
EXAMPLES = os.environ.get("MENSAJERIA_TEST_SPEC_EXAMPLES", "10")
HOOKS = Path(__file__).with_name("hooks.py")
CONFIG = Path(__file__).with_name("schemathesis.toml")


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(600)
@ON_SQLITE
async def test_no_endpoint_departs_from_its_description(settings: Settings, tmp_path: Path) -> None:
    people = await registered(settings)
    with (tmp_path / "log").open("w", encoding="utf-8") as log:
        process = await asyncio.to_thread(start_server_process, settings.data_dir, log=log)
    async with stopping(process):
        await write_people(process, people, tmp_path / "people")
        run = await asyncio.to_thread(run_schemathesis, process, tmp_path / "people", tmp_path)
        missed = await asyncio.to_thread(unreached, tmp_path / "log", process)
    (tmp_path / "report").write_text(run.stdout, encoding="utf-8")
    assert run.returncode == 0, run.stdout[:20_000] + run.stderr[-2000:]
    assert missed <= UNREACHABLE


async def registered(settings: Settings) -> list[Person]:
    """Accounts with all that belongs to them, logged in, made before the process starts."""
    server = await start_server(settings, SystemClock())
    try:
        return [await register(server, f"person{number}") for number in range(PEOPLE)]
    finally:
        await server.close()


async def write_people(process: ServerProcess, people: list[Person], file: Path) -> None:
    """Give each two of them a chat, and write down what is needed to sign as them and to find them."""
    lines = []
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{process.port}") as http:
        server_id = unb64((await http.get("/v1/server")).json()["server_id"])
        for one, other in zip(people[::2], people[1::2], strict=True):
            chat = direct_chat_id(server_id, one.uid, other.uid)
            made = await one.call(http, "PUT", f"/v1/chats/direct/{b64(chat)}", {"peer_uid": b64(other.uid)})
            assert made.is_success, made.text
            lines += [_line(one, other, chat), _line(other, one, chat)]
    await asyncio.to_thread(file.write_text, "\n".join(lines), encoding="utf-8")


def _line(person: Person, other: Person, chat: bytes) -> str:
    assert person.ck is not None
    assert person.tokens is not None
    known = {"uid": b64(other.uid), "handle": other.handle, "chat_id": b64(chat)}
    return json.dumps({"token": person.tokens.access_token, "ck": person.ck.reveal().hex(), **known})


def unreached(log: Path, process: ServerProcess) -> set[str]:
    """Operations that never got as far as doing something: the run has shown nothing about them."""
    answered = re.findall(r"method=(\w+) .* route=(\S+) .*status=(\d+)", log.read_text(encoding="utf-8"))
    reached = {f"{method} {route}" for method, route, status in answered if status not in {"400", "401", "405", "429"}}
    with urllib.request.urlopen(f"http://127.0.0.1:{process.port}/openapi.json", timeout=10) as answer:
        paths = json.load(answer)["paths"]
    return {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods} - reached


def run_schemathesis(process: ServerProcess, people: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the program; its output tells how to repeat what it finds."""
    command = [
        *(sys.executable, "-W", "ignore", "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run"),
        f"http://127.0.0.1:{process.port}/openapi.json",
        # POST /v1/files begins an upload: the file is there for GET and HEAD with its last byte, not before.
        *("--checks", "all", "--exclude-checks", "ensure_resource_availability"),
        *("--phases", "examples,coverage,fuzzing,stateful", "--max-examples", EXAMPLES),
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
