"""Files by the command line, against a real server."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mensajeria.cli.exit_codes import Exit
from tests.cli.servers import RunningServer, running_server
from tests.cli.test_exchange import Listener, lines, mensajeria, register

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
CONTENT = os.urandom(700_000)


@pytest.fixture(scope="module")
def server(made_server: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("server"), made_server) as running:
        yield running


@pytest.fixture(scope="module")
def people(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Ana and Bruno; Ana has sent two files, and Bruno has accepted her."""
    folder = tmp_path_factory.mktemp("people")
    for name in ("ana", "bruno"):
        lines(register(server, folder / name, name))
    (folder / "datos.bin").write_bytes(CONTENT)
    (folder / "programa.sh").write_text("echo")
    sent = lines(
        mensajeria(
            "send", "--profile", str(folder / "ana"), "--to", "bruno", "--file", str(folder / "datos.bin"), "--file",
            str(folder / "programa.sh"), "los dos", "--json",
        )
    )  # fmt: skip
    assert [line["state"] for line in sent] == ["sent", "sent"]
    lines(mensajeria("chats", "--profile", str(folder / "bruno"), "accept", "ana", "--json"))
    return {name: folder / name for name in ("ana", "bruno")}


def files_of(people: dict[str, Path]) -> list[dict[str, object]]:
    return lines(mensajeria("history", "--profile", str(people["bruno"]), "--with", "ana", "--json"))


def test_the_history_shows_files(people: dict[str, Path]) -> None:
    data, program = files_of(people)[:2]
    assert (data["type"], data["text"], program["text"]) == ("message", "los dos", "")
    attachment = data["attachment"]
    assert isinstance(attachment, dict)
    assert (attachment["name"], attachment["size"], attachment["risky"]) == ("datos.bin", len(CONTENT), False)
    assert attachment["state"] in {"remote", "saved"}  # another test may have fetched it
    shown = mensajeria("history", "--profile", str(people["bruno"]), "--with", "ana", MENSAJERIA_LANG="en")
    assert b"[file: datos.bin, 700 kB] los dos" in shown.stdout
    assert b"programa.sh, 4 B; careful" in shown.stdout


def test_a_file_is_downloaded_and_replaces_nothing(people: dict[str, Path], tmp_path: Path) -> None:
    command = ("download", "--profile", str(people["bruno"]), "--with", "ana", str(files_of(people)[0]["mid"]), "--to")
    [*progress, saved] = lines(mensajeria(*command, str(tmp_path), "--json", "--progress"))
    assert (saved["type"], saved["path"]) == ("saved", str(tmp_path / "datos.bin"))
    assert (tmp_path / "datos.bin").read_bytes() == CONTENT
    assert {line["type"] for line in progress} <= {"progress"}
    assert progress[-1]["done"] == progress[-1]["total"]
    taken = mensajeria(*command, str(tmp_path / "datos.bin"), "--json")
    assert (taken.returncode, json.loads(taken.stderr)["code"]) == (Exit.USAGE, "target_exists")


def test_the_process_that_has_the_profile_open_sends_and_saves(people: dict[str, Path], tmp_path: Path) -> None:
    mid, bruno = str(files_of(people)[0]["mid"]), Listener(people["bruno"])
    bruno.next("connection", phase="online")
    profile = ("--profile", str(people["bruno"]), "--json")
    [saved] = lines(mensajeria("download", *profile, "--with", "ana", mid, "--to", str(tmp_path)))
    assert Path(saved["path"]).read_bytes() == CONTENT
    (tmp_path / "vuelta.txt").write_text("de vuelta")
    [sent] = lines(mensajeria("send", *profile, "--to", "ana", "--file", str(tmp_path / "vuelta.txt")))
    assert sent["state"] == "sent"
    assert bruno.next("progress", direction="upload", mid=sent["mid"])
    assert bruno.stop() == Exit.OK


@pytest.mark.parametrize(("path", "code"), [("no existe", "file_unreadable"), (".", "not_a_file")])
def test_what_cannot_be_sent_is_told(people: dict[str, Path], path: str, code: str) -> None:
    done = mensajeria("send", "--profile", str(people["ana"]), "--to", "bruno", "--file", path, "--json")
    assert (done.returncode, json.loads(done.stderr)["code"]) == (Exit.USAGE, code)


def test_a_message_without_a_file_has_nothing_to_save(people: dict[str, Path], tmp_path: Path) -> None:
    [text] = lines(mensajeria("send", "--profile", str(people["ana"]), "--to", "ana", "nota", "--json"))
    profile = ("--profile", str(people["ana"]), "--json")
    done = mensajeria("download", *profile, "--with", "ana", text["mid"], "--to", str(tmp_path))
    assert (done.returncode, json.loads(done.stderr)["code"]) == (Exit.NOT_FOUND, "no_attachment")
