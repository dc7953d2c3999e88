"""A server with something in it, to be backed up; nothing of it runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mensajeria.server.admin.backups.create import create
from mensajeria.server.settings import Settings
from tests.server.admin.stored import DELETED, UNFINISHED, UNKNOWN, WHOLE, changing, settings_of, upload


@pytest.fixture(scope="session")
def filled(made_server: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its data folder, to copy."""
    folder = tmp_path_factory.mktemp("filled") / "data"
    shutil.copytree(made_server, folder)
    with changing(folder) as db:
        account = "INSERT INTO account VALUES (1, ?, 'ana', 'active', 1, 1, x'', 1, x'', x'', x'', ?, 1)"
        db.execute(account, (b"u" * 16, bytes(32)))
        device = (
            "INSERT INTO device (id, did, account_id, name, ed25519, curve25519, created_ms, last_seen_ms) "
            "VALUES (1, ?, 1, 'laptop', ?, ?, 1, 1)"
        )
        db.execute(device, (b"d" * 16, b"e" * 32, b"c" * 32))
        db.execute("INSERT INTO one_time_key (device_id, key, body, sig) VALUES (1, ?, x'01', x'02')", (b"k" * 32,))
        row = (
            "INSERT INTO file (file_id, account, size, received, done, created_ms, expires_ms) "
            "VALUES (?, 1, 5, 5, ?, 1, 9)"
        )
        db.executemany(row, ((WHOLE, True), (DELETED, True), (UNFINISHED, False)))
    upload(folder, WHOLE, b"whole")
    upload(folder, UNKNOWN, b"later")
    upload(folder, UNFINISHED, b"half", end=".part")
    return folder


@pytest.fixture(scope="session")
def made_backups(filled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a backup of each kind, `b` and `b.tar`: to copy."""
    folder = tmp_path_factory.mktemp("backups")
    spare = folder / "data"
    shutil.copytree(filled, spare)
    for name in ("b", "b.tar"):
        create(settings_of(spare), folder / name)
    shutil.rmtree(spare)
    return folder


@pytest.fixture
def data(filled: Path, tmp_path: Path) -> Path:
    """The data folder of a server of this test's own."""
    return Path(shutil.copytree(filled, tmp_path / "data"))


@pytest.fixture
def server_settings(data: Path) -> Settings:
    return settings_of(data)


@pytest.fixture(params=["folder", "tar"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Where a backup goes, of each kind."""
    return tmp_path / ("backup.tar" if request.param == "tar" else "backup")
