"""What `doctor` finds, by its codes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mensajeria.kit.clock import FakeClock, SystemClock
from mensajeria.server.admin.doctor import YEAR_2024_MS, doctor
from mensajeria.server.admin.records import State, Subject
from mensajeria.server.keyfiles import LOG_KEY
from mensajeria.server.settings import Settings
from tests.server.admin.stored import changing


def found(settings: Settings, subject: Subject) -> tuple[State, str]:
    [check] = [check for check in doctor(settings) if check.name is subject]
    return check.state, check.found.code


def test_every_subject_is_looked_at_in_its_order(server_settings: Settings) -> None:
    looked = [check.name for check in doctor(server_settings)]
    assert looked == [one for one in Subject if one not in {Subject.REDIS, Subject.FILES}]


@pytest.mark.parametrize(
    ("mode", "answer"), [(0o700, (State.OK, "data_folder_good")), (0o755, (State.WARNING, "data_folder_open"))]
)
def test_a_folder_that_others_may_look_into(server_settings: Settings, mode: int, answer: tuple[State, str]) -> None:
    server_settings.data_dir.chmod(mode)
    assert found(server_settings, Subject.DATA_FOLDER) == answer


def test_a_folder_without_anything(tmp_path: Path) -> None:
    settings = Settings.model_validate({"data_dir": tmp_path / "none"})
    assert found(settings, Subject.DATA_FOLDER) == (State.FAILED, "data_folder_missing")
    assert found(settings, Subject.DATABASE) == (State.FAILED, "database_missing")
    assert found(settings, Subject.SECRETS) == (State.FAILED, "secrets_missing")


@pytest.mark.parametrize(
    ("free_mb", "least_mb", "answer"),
    [
        (200, 100, (State.OK, "disk_good")),
        (99, 100, (State.FAILED, "disk_full")),
        (99, 0, (State.WARNING, "disk_low")),
    ],
)
def test_room_on_the_disk(
    server_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    free_mb: int,
    least_mb: int,
    answer: tuple[State, str],
) -> None:
    usage = shutil.disk_usage(server_settings.data_dir)._replace(total=1000 << 20, free=free_mb << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    settings = server_settings.model_copy(update={"min_free_mb": least_mb})
    assert found(settings, Subject.DISK) == answer


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("UPDATE alembic_version SET version_num = '0001'", "schema_old"),
        ("UPDATE alembic_version SET version_num = '9999'", "schema_unknown"),
        ("DROP TABLE alembic_version", "schema_missing"),
    ],
)
def test_the_schema_of_another_program(server_settings: Settings, statement: str, code: str) -> None:
    with changing(server_settings.data_dir) as db:
        db.execute(statement)
    assert found(server_settings, Subject.MIGRATIONS) == (State.FAILED, code)


@pytest.mark.parametrize(
    ("statement", "answer"),
    [
        ("DELETE FROM server_state", (State.WARNING, "identity_missing")),
        ("DELETE FROM server_state WHERE key = 'server_id'", (State.FAILED, "identity_damaged")),
        ("DROP TABLE server_state", (State.FAILED, "database_failed")),
    ],
)
def test_a_database_that_is_no_servers(server_settings: Settings, statement: str, answer: tuple[State, str]) -> None:
    with changing(server_settings.data_dir) as db:
        db.execute(statement)
    assert found(server_settings, Subject.IDENTITY) == answer


def test_a_clock_that_is_years_behind(server_settings: Settings) -> None:
    [check] = [one for one in doctor(server_settings, FakeClock(YEAR_2024_MS - 1)) if one.name is Subject.CLOCK]
    assert (check.state, check.found.code) == (State.FAILED, "clock_behind")


@pytest.mark.parametrize(("ahead_ms", "code"), [(0, "clock_good"), (60_000, "clock_apart")])
def test_the_clock_is_compared_with_postgresql(postgres_url: str, tmp_path: Path, ahead_ms: int, code: str) -> None:
    settings = Settings.model_validate({"data_dir": tmp_path, "database_url": postgres_url})
    clock = FakeClock(SystemClock().now_ms() + ahead_ms)
    [check] = [one for one in doctor(settings, clock) if one.name is Subject.CLOCK]
    assert check.found.code == code


@pytest.mark.parametrize(("workers", "code"), [(1, "database_good"), (250, "database_narrow")])
def test_the_connections_of_all_workers_are_compared_with_postgresql(
    postgres_url: str, tmp_path: Path, workers: int, code: str
) -> None:
    values = {
        "data_dir": tmp_path,
        "database_url": postgres_url,
        "redis_url": "redis://127.0.0.1:1",
        "workers": workers,
    }
    settings = Settings.model_validate(values)
    checks = doctor(settings.model_copy(update={"redis_url": None}))
    [check] = [one for one in checks if one.name is Subject.DATABASE]
    assert check.found.code == code
    assert Subject.CLOCK in [one.name for one in checks]


def test_secrets_that_others_read_or_that_are_anothers(server_settings: Settings) -> None:
    folder = server_settings.secrets_dir
    assert found(server_settings, Subject.SECRETS) == (State.OK, "secrets_good")
    folder.chmod(0o755)
    assert found(server_settings, Subject.SECRETS) == (State.WARNING, "secrets_open")
    (folder / LOG_KEY).write_bytes(bytes(32))
    assert found(server_settings, Subject.SECRETS) == (State.FAILED, "secrets_foreign")
    (folder / LOG_KEY).write_bytes(bytes(31))
    assert found(server_settings, Subject.SECRETS) == (State.FAILED, "secret_file_damaged")
    (folder / LOG_KEY).chmod(0o644)
    assert found(server_settings, Subject.SECRETS) == (State.FAILED, "secret_file_open")
    (folder / LOG_KEY).unlink()
    assert found(server_settings, Subject.SECRETS) == (State.FAILED, "secret_file_unreadable")
