"""`mensajeria admin doctor`, for people and for scripts. What it finds: tests/server/admin/test_doctor.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mensajeria.cli.exit_codes import Exit
from mensajeria.server.admin import outside
from tests.cli.operators import Admin, change, insert_account


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MENSAJERIA_LANG", "en")


def test_doctor_of_a_good_server_and_of_one_whose_secrets_others_read(admin: Admin) -> None:
    states = {check["name"]: check["state"] for check in admin("doctor")}
    assert states == {
        "data_folder": "ok",
        "disk": states["disk"],
        "database": "ok",
        "migrations": "ok",
        "identity": "ok",
        "clock": "ok",
        "last_backup": "warning",
        "secrets": "ok",
        "public_address": "warning",
    }
    (admin.folder / "secrets" / "jwt.key").chmod(0o644)
    status, error = admin.fail("doctor")
    assert (status, error["code"]) == (Exit.CONFIG, "doctor")
    assert "secrets" in error["message"]


def test_doctor_knows_the_last_backup_and_that_it_is_old(admin: Admin, tmp_path: Path) -> None:
    def last() -> dict[str, Any]:
        return next(check for check in admin("doctor") if check["name"] == "last_backup")

    admin("backup", "create", str(tmp_path / "backup.tar"))
    assert (last()["state"], last()["code"], last()["params"]) == ("ok", "backup_good", {"count": 0})
    change(admin, "UPDATE audit SET ts = ts - ?", 9 * 24 * 3600 * 1000)
    assert (last()["state"], last()["code"], last()["params"]) == ("warning", "backup_old", {"count": 9})


def test_doctor_knows_a_database_that_is_no_servers_any_more(admin: Admin) -> None:
    change(admin, "DELETE FROM server_state WHERE key = ?", "decoy_record")
    status, error = admin.fail("doctor")

    assert (status, error["message"].split(": ")[-1]) == (Exit.CONFIG, "identity")


def test_doctor_tells_of_a_damaged_database(admin: Admin) -> None:
    for name in ("mensajeria.db", "mensajeria.db-wal", "mensajeria.db-shm"):
        (admin.folder / name).unlink(missing_ok=True)
    (admin.folder / "mensajeria.db").write_bytes(b"this is no database" * 1000)
    status, error = admin.fail("doctor")

    assert status == Exit.CONFIG
    # An older SQLite opens anything, and looks at the file only when it reads from it.
    assert error["message"].split(": ")[-1] in {"database", "schema, identity"}


@pytest.mark.parametrize(
    ("check", "settings"),
    [
        ("Redis", {"REDIS_URL": "redis://127.0.0.1:1/0"}),
        ("bucket of files", {"S3_BUCKET": "b", "S3_ENDPOINT": "http://127.0.0.1:1"}),
    ],
)
def test_doctor_tries_what_lies_outside(
    admin: Admin, monkeypatch: pytest.MonkeyPatch, check: str, settings: dict[str, str]
) -> None:
    monkeypatch.setattr(outside, "PATIENCE_S", 0.5)
    for name, value in settings.items():
        monkeypatch.setenv(f"MENSAJERIA_{name}", value)
    status, error = admin.fail("doctor")

    assert (status, error["message"].split(": ")[-1]) == (Exit.CONFIG, check)


def test_doctor_finds_a_redis_that_answers(admin: Admin, monkeypatch: pytest.MonkeyPatch, valkey_url: str) -> None:
    monkeypatch.setenv("MENSAJERIA_REDIS_URL", valkey_url)

    assert next(check for check in admin("doctor") if check["name"] == "redis")["state"] == "ok"


def test_doctor_without_a_database(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, error = Admin(tmp_path / "nothing", capsys).fail("doctor")

    assert status == Exit.CONFIG
    assert "database" in error["message"]


def test_an_operator_reads_spanish(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    insert_account(admin, "ana", status="pending")
    admin("user", "approve", "ana")
    monkeypatch.setenv("MENSAJERIA_LANG", "es")
    [made] = admin("init")

    said = [line for line in admin.say("doctor").splitlines() if " disco: " not in line]
    assert said == [
        f"bien     carpeta de datos: {admin.folder}",
        "bien     base de datos: responde (sqlite)",
        "bien     esquema: es el más reciente",
        f"bien     identidad: servidor {made['server_id']}, época de restauración 1",
        "bien     reloj: es verosímil; no hay otro con el que compararlo",
        "aviso    última copia: no consta ninguna: ejecuta `mensajeria admin backup create`",
        "bien     secretos: completos, y nadie más puede leerlos",
        "aviso    dirección pública: no se ha probado el camino de los clientes: define MENSAJERIA_PUBLIC_URL",
    ]
    assert "cuentas activas " in admin.say("stats")
    assert "cuenta aprobada" in admin.say("audit")
    assert "activa" in admin.say("user", "list")


def test_scripts_read_what_was_found_and_people_a_sentence(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MENSAJERIA_LANG", "es")
    assert admin("doctor")[2] == {
        "type": "check",
        "name": "database",
        "state": "ok",
        "code": "database_good",
        "params": {"kind": "sqlite"},
        "detail": "responde (sqlite)",
    }
    monkeypatch.setenv("MENSAJERIA_PORT", "many")
    _, error = admin.fail("config", "check")
    assert error["findings"] == [{"code": "setting_no_number", "params": {"name": "MENSAJERIA_PORT"}}]
    assert error["message"] == "No es posible: MENSAJERIA_PORT tiene que ser un número entero"
