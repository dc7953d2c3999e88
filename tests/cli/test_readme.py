"""Every command of both READMEs is run as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.net import free_port

ROOT = Path(__file__).parents[2]
READMES = {"en": ROOT / "README.md", "es": ROOT / "README.es.md"}
SAID = {"en": ("only you can read this", "Hello Ana!"), "es": ("esto solo lo lees tú", "Hola, Ana!")}
TARGETS = ["run", "test"]
PORT = 8420


def blocks(language: str, kind: str) -> list[str]:
    text = READMES[language].read_text(encoding="utf-8")
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def environment(port: int) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("MENSAJERIA_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{own['PATH']}"
    return own | {"MENSAJERIA_PORT": str(port), "PATH": path, "LANG": "C.UTF-8", "MENSAJERIA_LOG_LEVEL": "error"}


@pytest.mark.parametrize("language", ["en", "es"])
def test_the_make_targets_are_told(language: str) -> None:
    assert re.findall(r"^make (\w+)", "".join(blocks(language, "sh")), re.MULTILINE) == TARGETS


def test_the_make_targets_exist() -> None:
    subprocess.run(["make", "-n", *TARGETS], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("language", ["en", "es"])
def test_every_link_to_a_file_leads_somewhere(language: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", READMES[language].read_text(encoding="utf-8"))
    assert len(links) >= 10
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_both_languages_have_the_same_commands() -> None:
    def commands(language: str) -> list[str]:
        text = "".join(blocks(language, "sh"))
        return re.findall(r"mensajeria \w+|make \w+", re.sub(r"#.*|'[^']*'", "", text))

    assert commands("en") == commands("es")


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "es"])
def test_the_commands_work_as_pasted(language: str, tmp_path: Path) -> None:
    port = free_port()
    [_, serve, session] = blocks(language, "sh")
    assert serve == "mensajeria serve\n"
    server = subprocess.Popen(serve.split(), cwd=tmp_path, env=environment(port), stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        assert server.stdout.readline().strip() == f"listening on http://127.0.0.1:{port}"
        done = run("bash", "-euo", "pipefail", "-c", session.replace(str(PORT), str(port)), cwd=tmp_path, port=port)
        assert done.returncode == 0, done.stderr
        for text in SAID[language]:
            assert text in done.stdout
        [program] = blocks(language, "python")
        (tmp_path / "program.py").write_text(program, encoding="utf-8")
        script = run(sys.executable, "program.py", cwd=tmp_path, port=port)
        assert script.returncode == 0, script.stderr
        assert SAID[language][0] in script.stdout
    finally:
        server.terminate()
        assert server.wait(20) == 0
        if server.stdout is not None:
            server.stdout.close()
    assert (tmp_path / "mensajeria-data").stat().st_mode & 0o077 == 0


def run(*command: str, cwd: Path, port: int) -> subprocess.CompletedProcess[str]:
    before = time.monotonic()
    done = subprocess.run(
        command, cwd=cwd, env=environment(port), capture_output=True, text=True, timeout=90, check=False
    )
    assert time.monotonic() - before < 60
    return done
