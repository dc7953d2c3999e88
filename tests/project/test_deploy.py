"""What is under deploy/: its names are real, nothing runs as root or unpinned, and the image's steps work."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from mensajeria.server.settings import KNOWN_NAMES

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
INTERPOLATED = {"MENSAJERIA_DOMAIN"}
"""Compose's own: it names the site to the proxy."""


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    document = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    found: dict[str, Any] = document["services"]
    return found


def test_every_setting_that_is_set_exists() -> None:
    text = DOCKERFILE + (DEPLOY / "compose.yaml").read_text(encoding="utf-8")

    assert set(re.findall(r"MENSAJERIA_[A-Z_]+", text)) <= KNOWN_NAMES | INTERPOLATED


def test_services_are_hardened_and_pinned(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert re.fullmatch(r"[a-z/]+:(\d+(\.\d+)*(-[a-z]+)?|local)", service["image"]), name
        assert "privileged" not in service


def test_only_the_proxy_is_reachable(services: dict[str, Any]) -> None:
    assert [name for name, service in services.items() if "ports" in service] == ["proxy"]
    assert services["database"]["networks"] == services["cache"]["networks"] == ["back"]


def test_image_is_not_root_and_watches_its_health() -> None:
    final = DOCKERFILE.rpartition("\nFROM ")[2]

    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", final, re.MULTILINE)
    assert "/readyz" in re.search(r"HEALTHCHECK.*\n.*", final).group()  # type: ignore[union-attr]
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) == ["python:3.14-slim-bookworm"] * 2


def test_secrets_are_made_once(tmp_path: Path) -> None:
    script = shutil.copy(DEPLOY / "make-secrets.sh", tmp_path)
    for _ in range(2):
        subprocess.run(["sh", script], check=True, capture_output=True)
    password = (tmp_path / "secrets" / "database_password").read_text(encoding="utf-8")

    assert len(password) == 48
    assert password in (tmp_path / "secrets" / "database_url").read_text(encoding="utf-8")
    assert (tmp_path / "secrets").stat().st_mode & 0o077 == 0


def compose() -> list[str] | None:
    """The compose client from version 2 on: Docker's plugin, or the same as a program of its own."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            asked = subprocess.run([*command, "version", "--short"], capture_output=True, text=True, check=False)
            if re.match(r"v?([2-9]|\d\d)\.", asked.stdout):
                return command
    return None


@pytest.mark.slow
def test_compose_accepts_the_file() -> None:
    command = compose()
    if command is None:
        pytest.skip("the compose client is not installed")
    environment = {**os.environ, "MENSAJERIA_DOMAIN": "chat.example.org"}
    subprocess.run([*command, "-f", str(DEPLOY / "compose.yaml"), "config", "--quiet"], env=environment, check=True)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_steps_of_the_image_make_a_server_that_gets_ready(tmp_path: Path) -> None:
    """The file's own commands, in a folder instead of a container: what it installs suffices to serve."""
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        *sources, target = line.split()
        copy(sources, tmp_path / target.lstrip("/"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MENSAJERIA_", "PYTHON"))}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    for step in build_steps(tmp_path):
        done = subprocess.run(["sh", "-ec", step], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, step + done.stderr[-3000:]

    serve_until_ready(tmp_path / "opt" / "mensajeria" / "bin" / "mensajeria", environment, tmp_path / "data")


def copy(sources: list[str], target: Path) -> None:
    """As COPY does."""
    for source in sources:
        path = ROOT / source
        if path.is_dir():
            shutil.copytree(path, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)


def build_steps(root: Path) -> list[str]:
    """The RUN commands of the first stage, below `root`."""
    stage = DOCKERFILE.split("\nFROM ")[1].replace("\\\n", " ")
    steps = re.findall(r"^RUN (.+)$", stage, re.MULTILINE)
    return [re.sub(r"(?<![^ =])/(?=opt|src|wheels)", f"{root}/", step) for step in steps]


def serve_until_ready(program: Path, environment: dict[str, str], data: Path) -> None:
    """Start, ask as the image's health check does, end as Docker does."""
    settings = {"MENSAJERIA_PORT": "0", "MENSAJERIA_DATA_DIR": str(data), "MENSAJERIA_LOG_FORMAT": "json"}
    started = subprocess.Popen([program, "serve"], env={**environment, **settings}, stdout=subprocess.PIPE, text=True)
    try:
        assert started.stdout is not None
        line = next(line for line in started.stdout if line.startswith("listening on "))
        with urllib.request.urlopen(line.split()[-1] + "/readyz", timeout=10) as answer:
            assert answer.status == 200
        started.send_signal(signal.SIGTERM)
        assert started.wait(20) == 0
    finally:
        started.kill()
        started.wait()
        if started.stdout is not None:
            started.stdout.close()
