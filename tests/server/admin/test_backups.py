"""A server is backed up, checked and put back: on SQLite, beside one that writes."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from mensajeria.kit.clock import FakeClock
from mensajeria.server.admin.audit import Act
from mensajeria.server.admin.backups import create as creating
from mensajeria.server.admin.backups import restore as restoring
from mensajeria.server.admin.backups.create import create
from mensajeria.server.admin.backups.errors import BackupError
from mensajeria.server.admin.backups.manifest import NAME, Part, decode, encode
from mensajeria.server.admin.backups.restore import DRAFT, restore
from mensajeria.server.admin.backups.verify import verify
from mensajeria.server.admin.commands import initialise
from mensajeria.server.db.revision import SCRIPTS, head_revision
from mensajeria.server.facts import StateError, create_facts
from mensajeria.server.keyfiles import LOG_KEY, TOKEN_KEY, rotate_key_file
from mensajeria.server.settings import Settings
from tests.server.admin.stored import DELETED, UNKNOWN, WHOLE, ask, names, settings_of

ON_POSIX = pytest.mark.skipif(os.name != "posix", reason="links, and modes of files")


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_put_back_is_the_same_server(server_settings: Settings, target: Path, tmp_path: Path) -> None:
    made = create(server_settings, target, clock=FakeClock(7))
    assert verify(target).manifest == made.manifest
    new = settings_of(tmp_path / "new")
    done = restore(new, target)

    assert done.restore_epoch == 2
    assert initialise(new).server_id.hex() == made.manifest.server_id
    assert ask(new.data_dir, "SELECT handle FROM account") == [("ana",)]
    for name, content in everything(server_settings.secrets_dir).items():
        assert (new.secrets_dir / name).read_bytes() == content
    assert made.manifest.created_ms == 7


@ON_POSIX
def test_only_the_owner_may_read_a_backup_and_what_is_put_back(
    server_settings: Settings, target: Path, tmp_path: Path
) -> None:
    create(server_settings, target)
    new = tmp_path / "new"
    restore(settings_of(new), target)
    places = [target, *target.rglob("*"), new, *new.rglob("*")]
    assert [path for path in places if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


def test_one_time_keys_are_neither_in_a_backup_nor_put_back(server_settings: Settings, tmp_path: Path) -> None:
    create(server_settings, tmp_path / "b")
    with closing(sqlite3.connect(tmp_path / "b" / "database.sqlite3")) as db:
        assert db.execute("SELECT count(*) FROM one_time_key").fetchone() == (0,)
    assert ask(server_settings.data_dir, "SELECT count(*) FROM one_time_key") == [(1,)]
    restore(settings_of(tmp_path / "new"), tmp_path / "b")
    assert ask(tmp_path / "new", "SELECT count(*) FROM one_time_key") == [(0,)]


def test_files_and_their_rows_agree_afterwards(server_settings: Settings, target: Path, tmp_path: Path) -> None:
    """An upload under way begins anew; one that was deleted meanwhile is gone, and bytes without a row are, too."""
    create(server_settings, target)
    new = tmp_path / "new"
    restore(settings_of(new), target)
    assert ask(new, "SELECT file_id FROM file") == [(WHOLE,)]
    assert everything(new / "files") == {f"01/{WHOLE.hex()}": b"whole"}
    assert (server_settings.data_dir / "files" / UNKNOWN.hex()[:2] / UNKNOWN.hex()).exists()
    assert (DELETED,) in ask(server_settings.data_dir, "SELECT file_id FROM file")


def test_both_are_in_the_audit_log(server_settings: Settings, tmp_path: Path) -> None:
    create(server_settings, tmp_path / "b")
    restore(settings_of(tmp_path / "new"), tmp_path / "b")
    assert ask(server_settings.data_dir, "SELECT action, target FROM audit") == [(Act.BACKUP_MADE, "b")]
    [(action, whose)] = ask(tmp_path / "new", "SELECT action, target FROM audit")
    assert (action, whose) == (Act.BACKUP_RESTORED, verify(tmp_path / "b").manifest.server_id)


@contextmanager
def written_to(folder: Path) -> Iterator[list[int]]:
    """Somebody commits row after row; what was committed so far."""
    acked: list[int] = []
    stop, going = threading.Event(), threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(folder / "mensajeria.db", isolation_level=None, timeout=30)) as db:
            db.execute("PRAGMA journal_mode = WAL").fetchall()
            db.execute("PRAGMA synchronous = OFF")
            while not stop.is_set():
                number = len(acked)
                db.execute("INSERT INTO event_due (due_ms, chat, seq) VALUES (1, 1, ?)", (number,))
                acked.append(number)
                if number == 20:
                    going.set()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert going.wait(60)
        yield acked
    finally:
        stop.set()
        thread.join()


def test_what_was_committed_before_is_in_it_while_others_write(
    server_settings: Settings, target: Path, tmp_path: Path
) -> None:
    with written_to(server_settings.data_dir) as acked:
        before = len(acked)
        create(server_settings, target)
    verify(target)
    restore(settings_of(tmp_path / "new"), target)
    found = [seq for (seq,) in ask(tmp_path / "new", "SELECT seq FROM event_due ORDER BY seq")]
    assert found == list(range(len(found)))
    assert before <= len(found) <= len(acked)


def test_nothing_is_overwritten(server_settings: Settings, target: Path) -> None:
    create(server_settings, target)
    before = target.read_bytes() if target.is_file() else everything(target)
    with pytest.raises(BackupError) as refused:
        create(server_settings, target)
    assert refused.value.code == "target_exists"
    assert before == (target.read_bytes() if target.is_file() else everything(target))


@pytest.mark.parametrize("broken", ["secrets", "others", pytest.param("files", marks=ON_POSIX)])
def test_a_backup_that_fails_leaves_nothing_behind(server_settings: Settings, target: Path, broken: str) -> None:
    if broken == "secrets":
        (server_settings.secrets_dir / TOKEN_KEY).unlink()
    elif broken == "others":
        (server_settings.secrets_dir / LOG_KEY).write_bytes(bytes(32))
    else:
        place = server_settings.data_dir / "files" / "01" / WHOLE.hex()
        place.unlink()
        place.symlink_to("/etc/hostname")
    before = names(target.parent)
    with pytest.raises((BackupError, StateError)):
        create(server_settings, target)
    assert names(target.parent) == before


def test_keys_that_were_rotated_meanwhile_make_no_backup(
    server_settings: Settings, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database may hold what only one of the two keys opens."""
    copy = creating._copy_database

    def copy_and_rotate(*args: object) -> None:
        copy(*args)  # type: ignore[arg-type]
        rotate_key_file(server_settings.secrets_dir, TOKEN_KEY, 1)

    monkeypatch.setattr(creating, "_copy_database", copy_and_rotate)
    with pytest.raises(StateError, match="backup_keys_rotated"):
        create(server_settings, target)
    assert not target.exists()


def test_what_appeared_meanwhile_is_not_overwritten_either(
    server_settings: Settings, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = creating._copy_database

    def copy_and_appear(*args: object) -> None:
        copy(*args)  # type: ignore[arg-type]
        target.mkdir()

    monkeypatch.setattr(creating, "_copy_database", copy_and_appear)
    with pytest.raises(BackupError) as refused:
        create(server_settings, target)
    assert refused.value.code == "target_exists"
    assert names(target) == []


class KilledError(BaseException):
    """As if the process had ended here."""


def restore_until(settings: Settings, source: Path, step: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """A restore that is killed before its n-th visit to the disk, and cleans nothing up; whether it was."""
    left = step
    real = os.fsync, os.rename

    def count() -> None:
        nonlocal left
        if left == 0:
            raise KilledError
        left -= 1

    def sync(descriptor: int) -> None:
        count()
        real[0](descriptor)

    def rename(self: Path, other: Path) -> None:
        count()
        real[1](self, other)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", sync)
        patch.setattr(Path, "rename", rename)
        patch.setattr(restoring, "_forget", lambda *_: None)
        try:
            restore(settings, source)
        except KilledError:
            return True
    return False


@pytest.mark.slow
def test_wherever_a_restore_is_killed_nothing_can_be_started_that_is_not_declared(
    server_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(server_settings, tmp_path / "b.tar")
    step = 0
    while restore_until(settings := settings_of(tmp_path / f"new{step}"), tmp_path / "b.tar", step, monkeypatch):
        step += 1
        if (settings.data_dir / "mensajeria.db").exists():  # only the folder's own fsync was still to come
            assert ask(settings.data_dir, "SELECT action FROM audit") == [(Act.BACKUP_RESTORED,)]
            assert not initialise(settings).created
        elif {"files", "secrets"} & set(names(settings.data_dir)):  # between two renames: for the operator to empty
            with pytest.raises(BackupError):
                restore(settings, tmp_path / "b.tar")
        else:
            assert restore(settings, tmp_path / "b.tar").restore_epoch == 2
    assert step > 10


@pytest.mark.slow
def test_without_secrets_they_must_be_there_first_and_the_right_ones(
    server_settings: Settings, target: Path, tmp_path: Path
) -> None:
    create(server_settings, target, with_secrets=False)
    assert not verify(target).manifest.secrets
    new, other = settings_of(tmp_path / "new"), settings_of(tmp_path / "other")
    with pytest.raises(StateError, match="backup_without_secrets"):
        restore(new, target)
    initialise(other)
    shutil.copytree(other.secrets_dir, new.secrets_dir)
    with pytest.raises(StateError, match="backup_other_secrets"):
        restore(new, target)
    assert names(new.data_dir) == ["secrets"]
    shutil.rmtree(new.secrets_dir)
    shutil.copytree(server_settings.secrets_dir, new.secrets_dir)
    restore(new, target)
    assert not initialise(new).created


def test_nothing_is_put_where_something_is(server_settings: Settings, target: Path, tmp_path: Path) -> None:
    create(server_settings, target)
    used = tmp_path / "used"
    used.mkdir()
    (used / "something").write_text("x")
    for folder in (used, server_settings.data_dir):
        before = everything(folder)
        with pytest.raises(BackupError) as refused:
            restore(settings_of(folder), target)
        assert refused.value.code == "server_not_empty"
        assert everything(folder) == before


def test_no_database_elsewhere_is_replaced(server_settings: Settings, target: Path, tmp_path: Path) -> None:
    create(server_settings, target)
    place = tmp_path / "elsewhere.db"
    values = {"data_dir": tmp_path / "new", "database_url": f"sqlite:///{place}"}
    elsewhere = Settings.model_validate(values)
    place.write_bytes(b"")
    with pytest.raises(BackupError) as refused:
        restore(elsewhere, target)
    assert refused.value.code == "server_not_empty"
    place.unlink()
    restore(elsewhere, target)
    assert not initialise(elsewhere).created


def test_a_restore_that_was_killed_can_be_begun_anew(server_settings: Settings, target: Path, tmp_path: Path) -> None:
    create(server_settings, target)
    new = tmp_path / "new"
    (new / DRAFT / "secrets").mkdir(parents=True)
    (new / f"mensajeria.db{DRAFT}").write_bytes(b"half")
    restore(settings_of(new), target)
    assert names(new) == ["files", "mensajeria.db", "secrets"]


def test_the_new_epoch_is_above_what_clients_have_seen(server_settings: Settings, target: Path, tmp_path: Path) -> None:
    create(server_settings, target)
    assert restore(settings_of(tmp_path / "new"), target, after_epoch=5).restore_epoch == 6


def test_another_kind_of_database_or_of_storage_is_refused_before_anything_is_touched(
    server_settings: Settings, tmp_path: Path
) -> None:
    create(server_settings, tmp_path / "b")
    for values in ({"database_url": "postgresql://u:p@127.0.0.1:1/x"}, {"s3_bucket": "files"}):
        with pytest.raises(StateError):
            restore(Settings.model_validate({"data_dir": tmp_path / "new", **values}), tmp_path / "b")
    assert not (tmp_path / "new").exists()


def test_files_in_a_bucket_are_named_as_not_included(data: Path, tmp_path: Path) -> None:
    bucket = Settings.model_validate({"data_dir": data, "s3_bucket": "files"})
    manifest = create(bucket, tmp_path / "b").manifest
    assert manifest.files == "bucket"
    assert [part.path for part in manifest.parts if part.path.startswith("files/")] == []
    new = Settings.model_validate({"data_dir": tmp_path / "new", "s3_bucket": "files"})
    restore(new, tmp_path / "b")
    assert len(ask(new.data_dir, "SELECT 1 FROM file")) == 3


@pytest.fixture(scope="session")
def older_backup(made_backups: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the program of the first schema would have made it."""
    folder = tmp_path_factory.mktemp("older") / "b"
    shutil.copytree(made_backups / "b", folder, ignore=lambda *_: ["files", "database.sqlite3"])
    manifest, place = decode((made_backups / "b" / NAME).read_bytes()), folder / "database.sqlite3"
    engine = create_engine(f"sqlite:///{place}")
    with engine.connect() as connection:
        config = Config()
        config.set_main_option("script_location", str(SCRIPTS))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        facts = create_facts(connection, b"decoy", bytes.fromhex(manifest.keys))
        connection.commit()
    engine.dispose()
    content = place.read_bytes()
    part = Part(place.name, hashlib.sha256(content).hexdigest(), len(content))
    secrets = [one for one in manifest.parts if one.path.startswith("secrets/")]
    told = msgspec.structs.replace(
        manifest, schema="0001", server_id=facts.server_id.hex(), parts=(part, *secrets), restore_epoch=1
    )
    (folder / NAME).write_bytes(encode(told))
    return folder


@pytest.mark.slow
def test_a_backup_of_an_older_program_is_brought_to_today_s_schema(older_backup: Path, tmp_path: Path) -> None:
    assert verify(older_backup).manifest.schema == "0001"
    new = settings_of(tmp_path / "new")
    done = restore(new, older_backup)
    assert done.restore_epoch == 2
    assert ask(new.data_dir, "SELECT version_num FROM alembic_version") == [(head_revision(),)]
    assert initialise(new).server_id.hex() == done.made.manifest.server_id
