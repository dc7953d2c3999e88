"""The owner's commands against a real server, each a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mensajeria.cli.exit_codes import Exit
from mensajeria.client.profile import UNFINISHED
from tests.cli.servers import RunningServer, clean_environment, running_server
from tests.cli.test_exchange import lines, mensajeria

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
NEW = "una frase nueva 55 lapiz"


@pytest.fixture(scope="module")
def server(made_server: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("owner") / "data", made_server) as running:
        yield running


def register(server: RunningServer, name: str, profile: Path, *more: str) -> dict[str, Any]:
    done = mensajeria(
        "register", "--server", server.url, "--username", name, "--profile", str(profile), "--json", *more
    )
    [account] = lines(done)
    return account


def failure(done: Any) -> tuple[int, str]:
    return done.returncode, json.loads(done.stderr.decode().splitlines()[-1])["code"]


def secret(path: Path, text: str) -> str:
    path.write_text(text + "\n")
    return str(path)


def test_password_recovery_devices_and_the_end(server: RunningServer, tmp_path: Path) -> None:
    first, second, third = (str(tmp_path / name) for name in ("one", "two", "three"))
    account = register(server, "lucia", Path(first), "--device-name", "laptop")
    code = secret(tmp_path / "code", account["recovery_code"])
    new = secret(tmp_path / "new", NEW)
    login = ("login", "--server", server.url, "--username", "lucia", "--profile", second, "--device-name", "phone")
    lines(mensajeria(*login, "--json"))

    renamed = mensajeria("devices", "rename", "phone", "old phone", "--profile", first, "--json")
    assert lines(renamed)[0]["name"] == "old phone"
    young = mensajeria("devices", "revoke", "laptop", "--profile", second, "--json")
    assert failure(young) == (Exit.REFUSED, "approval_needed")
    [gone] = lines(mensajeria("devices", "revoke", "old phone", "--profile", first, "--json"))
    assert gone["type"] == "device_revoked"
    assert [row["name"] for row in lines(mensajeria("devices", "--profile", first, "--json"))] == ["laptop"]
    assert failure(mensajeria("devices", "--profile", second, "--json"))[0] == Exit.LOGIN_ENDED

    changed = mensajeria("password", "--new-password-file", new, "--profile", first, "--json")
    assert lines(changed) == [{"type": "password_changed"}]
    assert failure(mensajeria("login", "--profile", first, "--json")) == (Exit.BAD_CREDENTIALS, "bad_credentials")

    recover = ("recover", "--server", server.url, "--username", "lucia", "--profile", third, "--code-file", code)
    back, told = lines(mensajeria(*recover, "--json"))  # the environment has the old password: it is good again
    assert told == {"type": "history_restored", "restored": 0, "missing": 0, "refused": 0}
    assert back["uid"] == account["uid"]
    lines(mensajeria("login", "--profile", first, "--json"))

    wrong = mensajeria("delete-account", "--confirm", "bruno", "--profile", first, "--json")
    assert wrong.returncode == Exit.USAGE
    deleted = mensajeria("delete-account", "--confirm", "lucia", "--profile", first, "--json")
    assert lines(deleted) == [{"type": "account_deleted"}]
    assert failure(mensajeria(*recover[:-4], "--profile", str(tmp_path / "x"), "--code-file", code, "--json")) == (
        Exit.BAD_CREDENTIALS,
        "recovery_invalid",
    )


def test_logging_out_everywhere(server: RunningServer, tmp_path: Path) -> None:
    register(server, "marta", tmp_path / "one")

    done = mensajeria("logout", "--everywhere", "--profile", str(tmp_path / "one"), "--json")

    assert lines(done) == [{"type": "logged_out_everywhere"}]
    assert failure(mensajeria("devices", "--profile", str(tmp_path / "one"), "--json"))[0] == Exit.LOGIN_ENDED
    lines(mensajeria("login", "--profile", str(tmp_path / "one"), "--json"))


def test_logging_out_can_erase_this_computer(server: RunningServer, tmp_path: Path) -> None:
    one = tmp_path / "one"
    register(server, "olga", one)
    done = mensajeria("logout", "--erase", "--profile", str(one), "--json")
    assert lines(done) == [{"type": "profile_erased"}]
    assert {path.name for path in one.iterdir()} == {"lock"}
    missing = failure(mensajeria("devices", "--profile", str(one), "--json"))
    assert missing == (Exit.PROFILE, "profile_missing")
    login = ("login", "--server", server.url, "--username", "olga", "--profile", str(one), "--json")
    lines(mensajeria(*login))
    lines(mensajeria("logout", "--profile", str(one), "--json"))
    assert lines(mensajeria("logout", "--erase", "--profile", str(one), "--json")) == [{"type": "profile_erased"}]


def test_invites_by_members(tmp_path: Path) -> None:
    ana = ("--profile", str(tmp_path / "ana"), "--json")
    settings = {"MENSAJERIA_REGISTRATION": "invite", "MENSAJERIA_MEMBER_INVITES": "true"}
    with running_server(tmp_path / "data", **settings) as server:
        operator = ("admin", "invite", "create", "--data-dir", str(tmp_path / "data"), "--json")
        [first] = lines(mensajeria(*operator))
        register(server, "ana", tmp_path / "ana", "--invite", first["token"])

        [made] = lines(mensajeria("invite", "create", "--uses", "2", *ana))
        link = (
            "register",
            "--username",
            "bruno",
            "--invite",
            made["link"],
            "--profile",
            str(tmp_path / "bruno"),
            "--json",
        )
        [account] = lines(mensajeria(*link))
        assert account["server"] == server.url
        [row] = lines(mensajeria("invite", "list", *ana))
        assert (row["uses_left"], row["joined"], row["state"]) == (1, ["bruno"], "valid")
        assert lines(mensajeria("invite", "revoke", str(made["id"]), *ana)) == [{"type": "revoked", "id": made["id"]}]
        missing = mensajeria("invite", "revoke", "9999", *ana)
        assert failure(missing) == (Exit.NOT_FOUND, "not_found")
        [shown] = lines(mensajeria("admin", "user", "show", "bruno", "--data-dir", str(tmp_path / "data"), "--json"))
        assert shown["invited_by"] == "ana"


def test_members_make_no_invites_elsewhere(server: RunningServer, tmp_path: Path) -> None:
    register(server, "eva", tmp_path / "eva")

    done = mensajeria("invite", "create", "--profile", str(tmp_path / "eva"), "--json")

    assert failure(done) == (Exit.REFUSED, "forbidden")


def test_account_that_waits(tmp_path: Path) -> None:
    data = ("--data-dir", str(tmp_path / "data"), "--json")
    with running_server(tmp_path / "data", MENSAJERIA_REGISTRATION="approval") as server:
        account = register(server, "ana", tmp_path / "ana")
        assert account["awaits_approval"] is True
        assert account["recovery_code"]
        login = ("login", "--profile", str(tmp_path / "ana"), "--json")
        assert failure(mensajeria(*login)) == (Exit.REFUSED, "account_pending")

        lines(mensajeria("admin", "user", "approve", "ana", *data))

        lines(mensajeria(*login))
        assert len(lines(mensajeria("devices", "--profile", str(tmp_path / "ana"), "--json"))) == 1


def test_doctor_tries_the_public_address(server: RunningServer, tmp_path: Path) -> None:
    doctor = ("admin", "doctor", "--data-dir", str(server.folder), "--json")

    good = lines(mensajeria(*doctor, MENSAJERIA_PUBLIC_URL=server.url))
    assert {row["name"]: row["state"] for row in good}["public_address"] == "ok"
    nobody = mensajeria(*doctor, MENSAJERIA_PUBLIC_URL="http://127.0.0.1:9")
    assert failure(nobody) == (Exit.CONFIG, "doctor")
    with running_server(tmp_path / "other") as other:
        another = mensajeria(*doctor, MENSAJERIA_PUBLIC_URL=other.url)
        assert failure(another) == (Exit.CONFIG, "doctor")
        assert b"another server" in another.stdout


def _killed_before_it_shows_the_code(server: RunningServer, profile: Path) -> None:
    """`register` whose output nobody takes, killed when the account is there."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, bytes(4096))
    os.set_blocking(writing, True)
    command = [sys.executable, "-m", "mensajeria.cli", "register", "--server", server.url, "--username", "ines"]
    started = subprocess.Popen([*command, "--profile", str(profile)], stdout=writing, env=clean_environment())
    try:
        end = time.monotonic() + 60
        while not (profile / "profile.json").exists() or (profile / UNFINISHED).exists():
            assert time.monotonic() < end, "not registered"
            time.sleep(0.02)
        assert started.poll() is None, "it waits for somebody who reads"
    finally:
        started.kill()
        started.wait(30)
        os.close(reading)
        os.close(writing)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_code_that_was_not_shown_is_shown_later_and_once(server: RunningServer, tmp_path: Path) -> None:
    ines = tmp_path / "ines"
    _killed_before_it_shows_the_code(server, ines)
    waits = mensajeria("health", "--profile", str(ines))
    assert b"mensajeria recovery-code" in waits.stderr
    [shown] = lines(mensajeria("recovery-code", "--profile", str(ines), "--json"))
    code, new = secret(tmp_path / "paper", shown["recovery_code"]), secret(tmp_path / "word", NEW)
    assert failure(mensajeria("recovery-code", "--profile", str(ines), "--json"))[1] == "recovery_code_unknown"
    assert b"recovery-code" not in mensajeria("health", "--profile", str(ines)).stderr
    recover = ("recover", "--server", server.url, "--username", "ines", "--code-file", code, "--password-file", new)
    assert lines(mensajeria(*recover, "--profile", str(tmp_path / "other"), "--json"))[0]["uid"] == shown["uid"]


def test_arguments_of_devices() -> None:
    for wrong in (("revoke",), ("rename", "phone"), ("list", "phone")):
        done = mensajeria("devices", *wrong, "--json")
        assert done.returncode == Exit.USAGE, wrong


def test_a_new_beginning_by_the_operators_code_and_a_new_identity_by_ones_own(
    server: RunningServer, tmp_path: Path
) -> None:
    lost, anew = str(tmp_path / "lost"), str(tmp_path / "anew")
    account = register(server, "nuria", Path(lost))
    lines(mensajeria("profile", "set", "--name", "Nuria", "--profile", lost, "--json"))
    operator = ("admin", "user", "reset-identity", "nuria", "--data-dir", str(server.folder), "--json")
    assert mensajeria(*operator).returncode == Exit.USAGE
    [allowed] = lines(mensajeria(*operator, "--yes"))
    code = secret(tmp_path / "reset", allowed["code"])
    begin = ("reset-identity", "--server", server.url, "--username", "nuria", "--reset-code-file", code, "--json")

    [begun] = lines(mensajeria(*begin, "--profile", anew))
    assert begun["uid"] == account["uid"]
    assert begun["recovery_code"] not in {None, account["recovery_code"]}
    assert failure(mensajeria("devices", "--profile", lost, "--json"))[0] == Exit.LOGIN_ENDED
    assert failure(mensajeria(*begin, "--profile", str(tmp_path / "again"))) == (Exit.BAD_CREDENTIALS, "reset_invalid")
    lines(mensajeria("profile", "set", "--name", "Nuria de nuevo", "--profile", anew, "--json"))

    new, paper = secret(tmp_path / "new", NEW), secret(tmp_path / "code", begun["recovery_code"])
    renew = ("renew-identity", "--new-password-file", new, "--code-file", paper, "--profile", anew, "--json")
    assert lines(mensajeria(*renew)) == [{"type": "identity_renewed"}]
    assert len(lines(mensajeria("devices", "--profile", anew, "--json"))) == 1


def test_a_registration_whose_answer_was_lost_is_finished_by_a_login(server: RunningServer, tmp_path: Path) -> None:
    profile = tmp_path / "ana"
    register(server, "ana", profile)
    described = json.loads((profile / "profile.json").read_text())
    (profile / "profile.json").write_text(json.dumps(described | {"registered": False}))

    again = mensajeria("register", "--server", server.url, "--username", "ana", "--profile", str(profile), "--json")
    assert failure(again) == (Exit.PROFILE, "account_unsure")

    lines(mensajeria("login", "--profile", str(profile), "--json"))
    assert json.loads((profile / "profile.json").read_text())["registered"]
    assert len(lines(mensajeria("devices", "--profile", str(profile), "--json"))) == 1
