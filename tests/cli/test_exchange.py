"""The command line against a real server, each command a process of its own."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mensajeria.cli.exit_codes import Exit
from tests.cli.servers import PASSWORD, RunningServer, clean_environment, running_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
WAIT_S = 30.0


def mensajeria(*args: str, stdin: bytes | None = None, **extra: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "mensajeria.cli", *args],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        env=clean_environment(**extra),
        timeout=90,
        check=False,
    )


def lines(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, Any]]:
    assert done.returncode == Exit.OK, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


class Listener:
    """`mensajeria listen --json`, and what it has printed."""

    def __init__(self, profile: Path, *options: str) -> None:
        command = [sys.executable, "-m", "mensajeria.cli", "listen", "--profile", str(profile), "--json", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=clean_environment())
        self.lines: queue.Queue[dict[str, Any]] = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(json.loads(line) | {"at": time.time()})

    def next(self, kind: str, **fields: Any) -> dict[str, Any]:
        deadline = time.monotonic() + WAIT_S
        while True:
            line = self.lines.get(timeout=max(0.01, deadline - time.monotonic()))
            if line["type"] == kind and all(line[name] == value for name, value in fields.items()):
                return line

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        status = self.process.wait(20)
        self.reader.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status


@pytest.fixture(scope="module")
def server(made_server: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("server"), made_server) as running:
        yield running


@pytest.fixture(scope="module")
def people(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Ana and Bruno, registered; Bruno has accepted Ana."""
    folder = tmp_path_factory.mktemp("people")
    for name in ("ana", "bruno"):
        [account] = lines(register(server, folder / name, name))
        assert account["handle"] == name
    lines(mensajeria("send", "--profile", str(folder / "ana"), "--to", "bruno", "first", "--json"))
    lines(mensajeria("chats", "--profile", str(folder / "bruno"), "accept", "ana", "--json"))
    return {name: folder / name for name in ("ana", "bruno")}


def register(
    server: RunningServer, profile: Path, name: str, *options: str, **extra: str
) -> subprocess.CompletedProcess[bytes]:
    base = ("register", "--server", server.url, "--username", name, "--profile", str(profile), "--json")
    return mensajeria(*base, *options, stdin=None, **extra)


def test_a_sent_message_is_heard_well_under_a_tenth_of_a_second_after_its_acknowledgement(
    people: dict[str, Path],
) -> None:
    bruno = Listener(people["bruno"])
    bruno.next("ready")
    bruno.next("connection", phase="online")
    [sent] = lines(mensajeria("send", "--profile", str(people["ana"]), "--to", "bruno", "¡Hola, Bruno! 👋", "--json"))
    acked = time.time()
    heard = bruno.next("message", text="¡Hola, Bruno! 👋")
    assert (heard["from"], heard["chat"], heard["mid"], heard["outgoing"]) == ("ana", sent["chat"], sent["mid"], False)
    assert heard["at"] - acked < 0.1  # the sender's process has even ended in between
    assert bruno.stop() == Exit.OK


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_listen_ends_cleanly_on_a_signal(people: dict[str, Path], number: signal.Signals) -> None:
    bruno = Listener(people["bruno"])
    bruno.next("ready")
    assert bruno.stop(number) == Exit.OK
    # and the profile is free again at once
    lines(mensajeria("chats", "--profile", str(people["bruno"]), "--offline", "--json"))


def test_send_hands_over_to_the_process_that_has_the_profile_open(people: dict[str, Path]) -> None:
    bruno = Listener(people["bruno"])
    bruno.next("connection", phase="online")
    [sent] = lines(mensajeria("send", "--profile", str(people["bruno"]), "--to", "ana", "handed over", "--json"))
    assert sent["state"] == "sent"
    assert bruno.stop() == Exit.OK
    history = lines(mensajeria("history", "--profile", str(people["ana"]), "--with", "bruno", "--json"))
    assert (history[-1]["text"], history[-1]["mid"]) == ("handed over", sent["mid"])


def test_another_command_on_an_open_profile_is_profile_in_use(people: dict[str, Path]) -> None:
    bruno = Listener(people["bruno"])
    bruno.next("ready")
    refused = mensajeria("history", "--profile", str(people["bruno"]), "--with", "ana", "--json")
    assert (refused.returncode, json.loads(refused.stderr)["code"]) == (Exit.PROFILE_IN_USE, "profile_in_use")
    assert bruno.stop() == Exit.OK


def test_the_text_can_come_from_standard_input_and_may_have_many_lines(people: dict[str, Path]) -> None:
    text = "primera línea\nsegunda ñandú\n\ncuarta"
    lines(mensajeria("send", "--profile", str(people["ana"]), "--to", "bruno", "--json", stdin=f"{text}\n".encode()))
    profile = ("--profile", str(people["bruno"]), "--with", "ana")
    assert lines(mensajeria("history", *profile, "--limit", "1", "--json"))[0]["text"] == text
    shown = mensajeria("history", *profile, "--limit", "1").stdout.decode()
    assert "ana: primera línea\n    segunda ñandú\n" in shown


def test_a_message_that_waits_goes_out_by_itself(people: dict[str, Path], server: RunningServer) -> None:
    server.kill()
    queued = mensajeria(
        "send", "--profile", str(people["ana"]), "--to", "bruno", "written offline", "--no-wait", "--json"
    )
    assert lines(queued)[0]["state"] == "queued"
    waiting = mensajeria("send", "--profile", str(people["ana"]), "--to", "bruno", "x", "--timeout", "1", "--json")
    assert waiting.returncode == Exit.NETWORK
    server.start()
    lines(mensajeria("send", "--profile", str(people["ana"]), "--to", "bruno", "written online", "--json"))
    texts = [
        line["text"]
        for line in lines(mensajeria("history", "--profile", str(people["bruno"]), "--with", "ana", "--json"))
    ]
    assert texts[-3:] == ["written offline", "x", "written online"]


def test_history_offline_shows_what_is_stored(people: dict[str, Path], server: RunningServer) -> None:
    online = lines(mensajeria("history", "--profile", str(people["ana"]), "--with", "bruno", "--json"))
    server.kill()
    try:
        stored = mensajeria("history", "--profile", str(people["ana"]), "--with", "bruno", "--offline", "--json")
        assert online
        assert [line["mid"] for line in lines(stored)] == [line["mid"] for line in online]
    finally:
        server.start()


def test_a_group_is_made_used_and_left_from_the_command_line(people: dict[str, Path]) -> None:
    ana, bruno = str(people["ana"]), str(people["bruno"])
    [made] = lines(mensajeria("group", "create", "--profile", ana, "Excursión", "bruno", "--json"))
    assert (made["type"], made["kind"], made["name"], made["group"]["role"]) == ("group", "group", "Excursión", "owner")
    lines(mensajeria("send", "--profile", ana, "--to", "Excursión", "¿Vienes?", "--json"))
    chats = lines(mensajeria("chats", "--profile", bruno, "--json"))
    assert [(chat["name"], chat["group"]["members"]) for chat in chats if chat["kind"] == "group"] == [("Excursión", 2)]
    history = lines(mensajeria("history", "--profile", bruno, "--with", made["chat"][:8], "--json"))
    assert [line["text"] or line["cause"] for line in history] == ["group_created", "¿Vienes?"]
    members = lines(mensajeria("group", "members", "--profile", bruno, "excursión", "--json"))
    assert [(member["handle"], member["role"]) for member in members] == [("ana", "owner"), ("bruno", "member")]
    refused = mensajeria("group", "rename", "--profile", bruno, "Excursión", "Otra", "--json")
    assert (refused.returncode, json.loads(refused.stderr)["code"]) == (Exit.REFUSED, "not_allowed_in_group")
    unknown = mensajeria("group", "add", "--profile", ana, "Excursión", "nobody_here", "--json")
    assert (unknown.returncode, json.loads(unknown.stderr)["code"]) == (Exit.NOT_FOUND, "unknown_user")
    [left] = lines(mensajeria("group", "leave", "--profile", bruno, "Excursión", "--json"))
    assert (left["group"]["role"], left["group"]["closed"]) == (None, "not_a_member")
    assert mensajeria("send", "--profile", bruno, "--to", "Excursión", "hola").returncode == Exit.REFUSED
    [alone] = lines(mensajeria("group", "members", "--profile", ana, "Excursión", "--json"))
    assert alone["handle"] == "ana"


def test_devices_lists_this_one(people: dict[str, Path]) -> None:
    [device] = lines(mensajeria("devices", "--profile", str(people["ana"]), "--json"))
    assert device["current"] is True


def test_a_second_device_by_password_hears_what_comes_after(
    people: dict[str, Path], server: RunningServer, tmp_path: Path
) -> None:
    base = ("login", "--server", server.url, "--username", "bruno", "--profile", str(tmp_path / "second"))
    assert lines(mensajeria(*base, "--device-name", "second", "--json"))[0]["handle"] == "bruno"
    lines(mensajeria("send", "--profile", str(people["ana"]), "--to", "bruno", "to both devices", "--json"))
    for profile in (people["bruno"], tmp_path / "second"):
        history = lines(mensajeria("history", "--profile", str(profile), "--with", "ana", "--json"))
        assert [line["text"] for line in history if line["type"] == "message"][-1] == "to both devices"
    names = {line["name"] for line in lines(mensajeria("devices", "--profile", str(people["bruno"]), "--json"))}
    assert "second" in names


def test_a_stranger_s_request_is_told_and_can_be_declined(
    people: dict[str, Path], server: RunningServer, tmp_path: Path
) -> None:
    lines(register(server, tmp_path / "carla", "carla"))
    bruno = Listener(people["bruno"])
    bruno.next("connection", phase="online")
    lines(mensajeria("send", "--profile", str(tmp_path / "carla"), "--to", "bruno", "who are you?", "--json"))
    bruno.next("request", **{"from": "carla"})  # before her keys are fetched the name is not known, and told again
    assert bruno.stop() == Exit.OK
    profile = ("--profile", str(people["bruno"]), "--json")
    assert [line["type"] for line in lines(mensajeria("chats", *profile, "decline", "carla"))] == ["declined"]
    assert "carla" not in [line["peer"] for line in lines(mensajeria("chats", *profile))]


def test_accept_all_answers_a_stranger(server: RunningServer, tmp_path: Path) -> None:
    for name in ("botty", "dora"):
        lines(register(server, tmp_path / name, name))
    bot = Listener(tmp_path / "botty", "--accept-all")
    bot.next("connection", phase="online")
    lines(mensajeria("send", "--profile", str(tmp_path / "dora"), "--to", "botty", "help", "--json"))
    assert bot.next("message")["text"] == "help"
    assert bot.stop() == Exit.OK
    [chat] = lines(mensajeria("chats", "--profile", str(tmp_path / "botty"), "--json"))
    assert chat["accepted"] is True


@pytest.mark.parametrize(
    ("options", "extra", "status", "code"),
    [
        (("--username", "ana"), {}, Exit.NAME_NOT_AVAILABLE, "handle_taken"),
        (("--username", "A"), {}, Exit.NAME_NOT_AVAILABLE, "handle_invalid"),
        (("--username", "weak"), {"MENSAJERIA_PASSWORD": "1234567890"}, Exit.WEAK_PASSWORD, "weak_password"),
        (("--server", "http://127.0.0.1:9", "--username", "nobody"), {}, Exit.NETWORK, "network"),
        (("--server", "http://example.org", "--username", "nobody"), {}, Exit.USAGE, "insecure_address"),
        (("--server", "ftp://x", "--username", "nobody"), {}, Exit.USAGE, "bad_address"),
    ],
    ids=["taken", "malformed", "weak", "unreachable", "insecure", "no-address"],
)
def test_a_registration_that_cannot_be_is_one_line_and_changes_nothing(
    people: dict[str, Path],
    server: RunningServer,
    tmp_path: Path,
    options: tuple[str, ...],
    extra: dict[str, str],
    status: Exit,
    code: str,
) -> None:
    refused = register(server, tmp_path / "new", "placeholder", *options, **extra)
    assert refused.returncode == status, refused.stderr
    assert json.loads(refused.stderr)["code"] == code
    assert refused.stdout == b""
    assert not list((tmp_path / "new").glob("store*"))


def test_wrong_password_unknown_user_and_unknown_chat(
    people: dict[str, Path], server: RunningServer, tmp_path: Path
) -> None:
    base = ("login", "--server", server.url, "--profile", str(tmp_path / "x"), "--json")
    for name in ("ana", "nobody_here"):  # a login never tells which of the two is wrong
        wrong = mensajeria(*base, "--username", name, MENSAJERIA_PASSWORD="not the password 9")
        assert (wrong.returncode, json.loads(wrong.stderr)["code"]) == (Exit.BAD_CREDENTIALS, "bad_credentials")
    profile = ("--profile", str(people["ana"]), "--json")
    unknown = mensajeria("send", *profile, "--to", "nobody_here", "x")
    assert (unknown.returncode, json.loads(unknown.stderr)["code"]) == (Exit.NOT_FOUND, "unknown_user")
    unknown = mensajeria("send", *profile, "--to", "ab" * 32, "x")
    assert (unknown.returncode, json.loads(unknown.stderr)["code"]) == (Exit.NOT_FOUND, "unknown_chat")
    missing = mensajeria("chats", "--profile", str(tmp_path / "empty"), "--json")
    assert (missing.returncode, json.loads(missing.stderr)["code"]) == (Exit.PROFILE, "profile_missing")


def test_the_recovery_code_is_shown_once_or_written_for_its_owner_alone(server: RunningServer, tmp_path: Path) -> None:
    file = tmp_path / "code.txt"
    [account] = lines(register(server, tmp_path / "eva", "eva", "--recovery-file", str(file)))
    assert account["recovery_code"] is None
    assert len(file.read_text().strip().replace("-", "").replace(" ", "")) == 33
    assert file.stat().st_mode & 0o777 == 0o600
    again = register(server, tmp_path / "eva2", "eva2", "--recovery-file", str(file))
    assert again.returncode == Exit.USAGE  # before an account is made whose code nobody would have
    base = ("register", "--server", server.url, "--username", "fito", "--profile", str(tmp_path / "fito"))
    shown = mensajeria(*base).stdout.decode()
    assert "Recovery code" in shown
    assert "Account created: fito" in shown


def test_errors_are_one_line_in_the_person_s_language(people: dict[str, Path]) -> None:
    spanish = mensajeria("send", "--profile", str(people["ana"]), "--to", "nadie_hay", "x", MENSAJERIA_LANG="es")
    assert spanish.stderr.decode() == "mensajeria: No hay nadie con ese nombre en el servidor.\n"


def test_no_secret_reaches_the_server_s_files(people: dict[str, Path], server: RunningServer) -> None:
    secret = "un secreto que nadie más lee"
    lines(mensajeria("send", "--profile", str(people["ana"]), "--to", "bruno", secret, "--json"))
    from mensajeria.cli.demo.evidence import places_with  # noqa: PLC0415 - the demonstration's own search

    for text in (secret, PASSWORD):
        assert places_with(server.folder, text) == []
