"""`mensajeria verify`: two processes compare emoji, and the other ways to make sure of a person."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mensajeria.cli.exit_codes import Exit
from tests.cli.servers import RunningServer, clean_environment, running_server
from tests.cli.test_exchange import lines, mensajeria, register

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def server(made_server: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("verify") / "data", made_server) as running:
        yield running


@pytest.fixture(scope="module")
def people(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("people")
    for name in ("ana", "bruno"):
        lines(register(server, folder / name, name))
    lines(mensajeria("send", "--profile", str(folder / "ana"), "--to", "bruno", "hola", "--json"))
    lines(mensajeria("chats", "--profile", str(folder / "bruno"), "accept", "ana", "--json"))
    return {name: str(folder / name) for name in ("ana", "bruno")}


class Start:
    """`verify start` in a process of its own."""

    def __init__(self, profile: str, person: str) -> None:
        command = [sys.executable, "-m", "mensajeria.cli", "verify", "start", person, "--profile", profile, "--json"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=clean_environment()
        )
        self.lines: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(json.loads(line))

    def until(self, phase: str) -> dict[str, Any]:
        while (line := self.lines.get(timeout=60))["phase"] != phase:
            pass
        return line

    def answer(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def end(self) -> int:
        status = self.process.wait(60)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        return status


def pair(people: dict[str, str]) -> tuple[Start, Start]:
    ana = Start(people["ana"], "bruno")
    ana.until("asked")
    bruno = Start(people["bruno"], "ana")
    assert ana.until("comparing")["emoji"] == bruno.until("comparing")["emoji"]
    return ana, bruno


def code(done: subprocess.CompletedProcess[bytes]) -> tuple[int, str]:
    return done.returncode, json.loads(done.stderr.decode().splitlines()[-1])["code"]


def test_comparing_emoji_from_two_terminals(people: dict[str, str]) -> None:
    ana, bruno = pair(people)
    ana.answer("no")
    assert bruno.until("cancelled")["reason"] == "mismatch"
    assert ana.end() == bruno.end() == Exit.SECURITY
    ana, bruno = pair(people)
    ana.answer("yes")
    ana.until("confirmed")
    bruno.answer("maybe")
    bruno.answer("yes")
    assert ana.until("done")["person"] == "bruno"
    assert ana.end() == bruno.end() == Exit.OK
    [shown] = lines(mensajeria("verify", "show", "ana", "--profile", people["bruno"], "--json"))
    assert (shown["trust"], shown["verified_by"]) == ("verified", "emoji")
    kinds = [
        line["kind"] for line in lines(mensajeria("verify", "timeline", "ana", "--profile", people["bruno"], "--json"))
    ]
    assert kinds == ["verification_failed", "verified"]


def test_codes_and_numbers(people: dict[str, str]) -> None:
    ana = ("--profile", people["ana"], "--json")
    [number] = lines(mensajeria("verify", "number", "bruno", *ana))
    [own] = lines(mensajeria("verify", "qr", *ana))
    assert code(mensajeria("verify", "confirm", "bruno", own["code"], *ana)) == (
        Exit.SECURITY,
        "verification_mismatch",
    )
    assert code(mensajeria("verify", "confirm", "bruno", "12345", *ana)) == (Exit.USAGE, "code_invalid")
    [qr] = lines(mensajeria("verify", "qr", "--profile", people["bruno"], "--json"))
    assert lines(mensajeria("verify", "confirm", "bruno", qr["code"], *ana))[0]["method"] == "code"
    assert lines(mensajeria("verify", "cancel", "bruno", *ana)) == [
        {"type": "unverified", "person": "bruno", "was": True}
    ]
    assert lines(mensajeria("verify", "confirm", "bruno", number["number"], *ana))[0]["method"] == "number"
    plain = mensajeria("verify", "show", "bruno", "--profile", people["ana"])
    assert number["number"].encode() in plain.stdout


def test_an_honest_log_passes_the_audit(people: dict[str, str], tmp_path: Path) -> None:
    """Two auditors, who compare what they were shown."""
    one, two = str(tmp_path / "one.json"), str(tmp_path / "two.json")
    [first] = lines(mensajeria("audit", "--state", one, "--profile", people["ana"], "--json"))
    assert (first["type"], first["checked"], first["violations"]) == ("log_audit", 0, 0)
    assert first["size"] >= 4
    [second] = lines(mensajeria("audit", "--state", two, "--compare", one, "--profile", people["bruno"], "--json"))
    assert (second["checked"], second["root"]) == (1, first["root"])
    [again] = lines(mensajeria("audit", "--state", one, "--compare", two, "--profile", people["ana"], "--json"))
    assert again["checked"] == 2
    Path(two).write_text(Path(two).read_text().replace('"sig": "', '"sig": "AAAA'))
    broken = mensajeria("audit", "--compare", two, "--profile", people["ana"], "--json")
    assert code(broken) == (Exit.USAGE, "audit_file_invalid")


@pytest.mark.parametrize("words", [("show",), ("confirm", "bruno"), ("qr", "bruno"), ("show", "bruno", "x")])
def test_arguments_that_make_no_sense_are_refused(people: dict[str, str], words: tuple[str, ...]) -> None:
    assert mensajeria("verify", *words, "--profile", people["ana"]).returncode == Exit.USAGE
