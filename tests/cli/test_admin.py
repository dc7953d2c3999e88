from __future__ import annotations

from pathlib import Path

import pytest

from mensajeria.cli.exit_codes import Exit
from tests.cli.operators import Admin, change, insert_account


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MENSAJERIA_LANG", "en")


def test_init_makes_a_server_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    admin = Admin(tmp_path / "data", capsys)
    [first] = admin("init")
    [again] = admin("init")
    assert (first["created"], again["created"]) == (True, False)
    assert first["server_id"] == again["server_id"]
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0
    assert admin.say("init") == f"Ready: {tmp_path / 'data'}\n"


@pytest.mark.slow
def test_the_first_init_of_a_server_for_others_tells_the_owner_s_invite(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MENSAJERIA_REGISTRATION", "invite")
    admin = Admin(tmp_path / "data", capsys)
    said = admin.say("init").splitlines()
    assert said[1].startswith("New invite (it will not be shown again): ")
    [listed] = admin("invite", "list")
    assert listed["state"] == "valid"
    assert len(admin.say("init").splitlines()) == 1


@pytest.mark.slow
def test_migrate_says_from_where_to_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    admin = Admin(tmp_path / "data", capsys)
    [first] = admin("migrate")
    [again] = admin("migrate")
    assert (first["before"], first["after"]) == (None, again["before"])
    assert "up to date" in admin.say("migrate")


def test_an_invite_is_made_listed_and_revoked(admin: Admin) -> None:
    assert admin.say("invite", "list") == "No invites\n"
    [made] = admin("invite", "create", "--uses", "3", "--days", "1")
    assert len(made["token"]) == 22
    [listed] = admin("invite", "list")
    assert (listed["id"], listed["uses_left"], listed["state"]) == (made["id"], 3, "valid")
    assert "token" not in listed
    assert admin("invite", "revoke", str(made["id"])) == [{"type": "revoked", "id": made["id"]}]
    assert admin("invite", "list")[0]["state"] == "revoked"
    assert "revoked" in admin.say("invite", "list")
    assert admin.say("invite", "create").startswith("New invite")


@pytest.mark.parametrize("number", ["999", "x", "²", "9" * 40], ids=["unknown", "word", "superscript", "huge"])
def test_an_invite_that_is_not_there_cannot_be_revoked(admin: Admin, number: str) -> None:
    status, error = admin.fail("invite", "revoke", number)
    assert (status, error["code"]) == (Exit.NOT_FOUND, "not_found")


def test_too_many_uses_are_refused(admin: Admin) -> None:
    status, error = admin.fail("invite", "create", "--uses", "1000000")
    assert (status, error["code"]) == (Exit.USAGE, "usage_invite_uses")
    assert admin("invite", "list") == []


def test_a_server_without_accounts_has_none_to_list(admin: Admin) -> None:
    assert admin("user", "list") == []
    assert admin.say("user", "list") == "No accounts\n"


def test_the_configuration_is_shown_without_its_secrets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MENSAJERIA_DATABASE_URL", "postgresql://user:hunter2hunter2@db/name")
    monkeypatch.setenv("MENSAJERIA_PORT", "9000")
    admin = Admin(tmp_path, capsys)
    shown = {line["name"]: line for line in admin("config", "show", "--redacted")}
    assert (shown["MENSAJERIA_PORT"]["value"], shown["MENSAJERIA_PORT"]["default"]) == ("9000", False)
    assert shown["MENSAJERIA_HOST"]["default"] is True
    assert "hunter2" not in str(shown) + admin.say("config", "show")
    assert admin("config", "check") == [{"type": "config", "valid": True}]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("MENSAJERIA_PROT", "9000", "did you mean MENSAJERIA_PORT?"),
        ("MENSAJERIA_PORT", "many", "MENSAJERIA_PORT"),
        ("MENSAJERIA_DATABASE_URL", "mysql://user:hunter2hunter2@x/y", "MENSAJERIA_DATABASE_URL"),
    ],
    ids=["unknown", "malformed", "secret"],
)
def test_a_wrong_setting_is_named_without_its_value(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    said: str,
) -> None:
    monkeypatch.setenv(name, value)
    status, error = Admin(tmp_path, capsys).fail("config", "check")
    assert (status, error["code"]) == (Exit.CONFIG, "config")
    assert said in error["message"]
    assert error["findings"][0]["params"]["name"] == name
    assert "hunter2" not in str(error)


def test_a_database_that_was_not_made_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    admin = Admin(tmp_path / "data", capsys)
    status, error = admin.fail("user", "list")
    assert (status, error["code"]) == (Exit.CONFIG, "config")
    assert error["findings"] == [{"code": "data_folder_missing", "params": {"path": str(tmp_path / "data")}}]
    (tmp_path / "data").mkdir()
    for command in (("user", "list"), ("report", "list"), ("stats",), ("audit",), ("retention", "run")):
        assert admin.fail(*command)[1]["findings"] == [{"code": "database_missing", "params": {}}]
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.slow
def test_accounts_are_shown_suspended_and_deleted(admin: Admin) -> None:
    insert_account(admin, "ana")

    [shown] = admin("user", "show", "ana")
    assert (shown["handle"], shown["status"], shown["devices"]) == ("ana", "active", [])
    admin("user", "suspend", "@ANA")
    assert admin("user", "show", shown["uid"])[0]["status"] == "suspended"
    assert admin.fail("user", "suspend", "ana")[1]["code"] == "user_state"
    admin("user", "unsuspend", "ana")
    admin("user", "logout", "ana")
    assert admin.fail("user", "reset-identity", "ana")[0] == Exit.USAGE
    [allowed] = admin("user", "reset-identity", "ana", "--yes")
    assert (allowed["type"], allowed["user"], len(allowed["code"])) == ("identity_reset", "ana", 22)
    assert allowed["code"] not in admin.say("audit")
    assert admin.fail("user", "reset-identity", "nadie", "--yes")[1]["code"] == "unknown_user"
    assert admin.fail("user", "reset-identity", "ana", "--yes", "--hours", "9999")[0] == Exit.USAGE
    assert admin.fail("user", "delete", "ana")[0] == Exit.USAGE
    admin("user", "delete", "ana", "--yes")
    assert admin.fail("user", "show", "ana") == (
        Exit.NOT_FOUND,
        {"type": "error", "code": "unknown_user", "message": "Nobody on the server has this name.", "exit": 10},
    )
    acts = [line["action"] for line in admin("audit")]
    assert acts == [
        "account_deleted",
        "reset_allowed",
        "logged_out_everywhere",
        "account_restored",
        "account_suspended",
    ]
    assert {line["actor"].partition(":")[0] for line in admin("audit")} == {"operator"}
    newest, _ = admin("audit", "--limit", "1")
    assert admin("audit", "--before", str(newest["id"]))[0]["id"] < newest["id"]


def test_accounts_that_wait_are_approved_or_rejected(admin: Admin) -> None:
    insert_account(admin, "ana", status="pending")
    insert_account(admin, "bruno", status="pending")

    admin("user", "approve", "ana")
    admin("user", "reject", "bruno")

    assert [row["handle"] for row in admin("user", "list")] == ["ana"]
    assert admin.fail("user", "approve", "ana")[1]["code"] == "user_state"
    assert admin.fail("user", "reject", "ana")[1]["code"] == "user_state"
    insert_account(admin, "bruno")  # the name was free again


def test_statistics_and_who_made_an_invite(admin: Admin) -> None:
    insert_account(admin, "ana")
    admin("invite", "create")

    [stats] = admin("stats")
    assert (stats["accounts_active"], stats["invites_usable"], stats["events"]) == (1, 1, 0)
    assert stats["database_bytes"] > 0
    assert admin("invite", "list")[0]["created_by"] is None
    assert "active accounts" in admin.say("stats")


@pytest.mark.slow
def test_keys_rotate_once_in_ten_minutes(admin: Admin) -> None:
    secrets = admin.folder / "secrets"
    before = (secrets / "jwt.key").read_bytes(), (secrets / "ck.key").read_bytes()

    assert admin("keys", "rotate")[0]["key"] == "token"
    assert admin("keys", "rotate", "--channel")[0] == {"type": "keys_rotated", "key": "channel", "sealed": 0}

    assert (secrets / "jwt.previous.key").read_bytes()[:32] == before[0]
    assert (secrets / "jwt.key").read_bytes() != before[0]
    assert (secrets / "ck.key").read_bytes() != before[1]
    assert not (secrets / "ck.previous.key").exists()
    assert admin.fail("keys", "rotate")[0] == Exit.CONFIG
    assert admin("init")[0]["created"] is False  # the database and the secrets still belong together


@pytest.mark.slow
def test_reports_are_listed_and_closed_with_a_note(admin: Admin) -> None:
    insert_account(admin, "ana")
    insert_account(admin, "bruno")
    change(
        admin,
        "INSERT INTO report (reporter, target, text, created_ms) VALUES "
        "((SELECT id FROM account WHERE handle = 'ana'), (SELECT uid FROM account WHERE handle = 'bruno'), ?, 1)",
        "spam\x1b[2J\nmore",
    )

    [report] = admin("report", "list")
    assert (report["reporter"], report["target_handle"], report["claim"]) == ("ana", "bruno", "spam\x1b[2J\nmore")
    assert "\x1b" not in admin.say("report", "list")
    assert admin.fail("report", "resolve", "99", "x")[1]["code"] == "not_found"
    assert admin.fail("report", "resolve", str(report["id"]), "x" * 501)[0] == Exit.USAGE
    admin("report", "resolve", str(report["id"]), "told him")
    assert admin("report", "list") == []
    [closed] = admin("report", "list", "--all")
    assert closed["resolution"] == "told him"
    [told] = admin("audit")
    assert (told["action"], told["target"]) == ("report_closed", str(report["id"]))
    assert admin("report", "list", "--all", "--after", str(report["id"])) == []
    assert admin.say("report", "list") == "No reports\n"


def test_retention_is_shown_and_run(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    change(admin, "INSERT INTO event_due (due_ms, chat, seq) VALUES (?, 1, 1)", 5)

    assert admin("retention", "show") == [{"type": "retention", "days": None, "due": 1, "timers": 1, "purges": 0}]
    assert "kept" in admin.say("retention", "show")
    [done] = admin("retention", "run")
    assert (done["timers"], done["purged"]) == (1, 0)
    [told] = admin("audit")
    assert (told["action"], told["target"]) == ("retention_run", "1")
    monkeypatch.setenv("MENSAJERIA_RETENTION_DAYS", "30")
    assert admin("retention", "show") == [{"type": "retention", "days": 30, "due": 0, "timers": 0, "purges": 0}]
    assert "30 days" in admin.say("retention", "show")


def test_who_takes_up_most_is_shown_first(admin: Admin) -> None:
    insert_account(admin, "ana")
    insert_account(admin, "bruno")
    change(admin, "INSERT INTO backup_use (account, bytes) SELECT id, ? FROM account WHERE handle = 'bruno'", 3 << 20)
    change(
        admin,
        "INSERT INTO file (file_id, account, size, created_ms, expires_ms) SELECT ?, id, 1000, 1, 9 FROM account "
        "WHERE handle = 'ana'",
        bytes(16),
    )

    limits, first, second = admin("quotas")
    assert (limits["file_bytes"], limits["backup_bytes"]) == (1 << 30, 128 << 20)
    assert (first["handle"], first["backup_bytes"], first["file_bytes"]) == ("bruno", 3 << 20, 0)
    assert (second["handle"], second["file_bytes"]) == ("ana", 1000)
    _, most, rest = admin("quotas", "--limit", "1")
    assert (most, rest["type"]) == (first, "next")
    assert admin("quotas", "--limit", "1", "--after", str(rest["after"])) == [limits, second]
    assert "bruno · files 0.0 MiB · backup 3.0 MiB" in admin.say("quotas")


def test_a_server_is_backed_up_checked_and_put_back(
    admin: Admin, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    insert_account(admin, "ana")
    backup = str(tmp_path / "backup.tar")
    [made] = admin("backup", "create", backup)
    assert (made["action"], made["database"], made["files"], made["secrets"]) == ("create", "sqlite", "folder", True)
    [checked] = admin("backup", "verify", backup)
    assert checked == made | {"action": "verify", "database_checked": True}

    other = Admin(tmp_path / "other", capsys)
    [back] = other("backup", "restore", backup, "--epoch", "4")
    assert (back["server_id"], back["restore_epoch"]) == (made["server_id"], 5)
    assert [row["handle"] for row in other("user", "list")] == ["ana"]
    assert other("audit")[0]["action"] == "backup_restored"


def test_a_backup_says_what_it_holds_and_what_it_does_not(admin: Admin, tmp_path: Path) -> None:
    folder = tmp_path / "copies"
    folder.mkdir()
    assert "keep it encrypted" in admin.say("backup", "create", str(folder / "whole"))
    assert "secrets are not in it" in admin.say("backup", "create", str(folder / "bare"), "--without-secrets")
    assert "is good" in admin.say("backup", "verify", str(folder / "whole"))


def test_what_cannot_be_backed_up_checked_or_put_back_has_its_code(admin: Admin, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    admin("backup", "create", str(backup))
    failed, error = admin.fail("backup", "create", str(backup))
    assert (failed, error["code"]) == (Exit.USAGE, "target_exists")
    failed, error = admin.fail("backup", "restore", str(backup))
    assert (failed, error["code"]) == (Exit.CONFIG, "server_not_empty")
    assert str(admin.folder) in error["message"]
    (backup / "secrets" / "ck.key").write_bytes(bytes(32))
    failed, error = admin.fail("backup", "verify", str(backup))
    assert (failed, error["code"]) == (Exit.CONFIG, "server_backup_damaged")
    assert "secrets/ck.key" in error["message"]
    assert admin.fail("backup", "verify", str(tmp_path / "none"))[1]["code"] == "backup_missing"


def test_without_the_programs_of_postgresql_one_line_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MENSAJERIA_DATABASE_URL", "postgresql://u:hunter2@127.0.0.1:1/x")
    monkeypatch.setenv("PATH", str(tmp_path))
    status, error = Admin(tmp_path, capsys).fail("backup", "create", str(tmp_path / "backup"))
    assert (status, error["code"]) == (Exit.NOT_INSTALLED, "tool_missing")
    assert "pg_dump" in error["message"]


def fill(admin: Admin, what: str) -> None:
    """Five entries, three of them the first or the last page."""
    for number in range(5):
        match what:
            case "user":
                insert_account(admin, f"user{number}")
            case "report":
                change(admin, "INSERT INTO report (target, text, created_ms) VALUES (zeroblob(16), ?, 1)", f"{number}")
            case _:  # each is recorded, too
                admin("invite", "create")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "option"), [("user", "after"), ("invite", "before"), ("report", "after"), ("audit", "before")]
)
def test_a_list_comes_in_pages_that_lead_from_one_to_the_next(admin: Admin, what: str, option: str) -> None:
    fill(admin, what)
    command = ("audit",) if what == "audit" else (what, "list")
    everything = admin(*command)

    *first, there_is_more = admin(*command, "--limit", "3")
    assert set(there_is_more) == {"type", option}
    go_on = (f"--{option}", str(there_is_more[option]))
    second = admin(*command, "--limit", "3", *go_on)

    assert there_is_more["type"] == "next"
    assert len(first) == 3
    assert [*first, *second] == everything
    assert admin.say(*command, "--limit", "3").splitlines()[-1] == f"There is more: {' '.join(go_on)}"
