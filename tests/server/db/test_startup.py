"""The first start and the ones after it: secrets and database belong together, and a kill in between does no harm."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from mensajeria.kit.clock import FakeClock
from mensajeria.protocol.ids import unb64
from mensajeria.server.admin import commands
from mensajeria.server.db.revision import SchemaError
from mensajeria.server.facts import StateError
from mensajeria.server.keyfiles import SIZES, create_key_files, load_key_files
from mensajeria.server.settings import Settings
from mensajeria.server.startup import Prepared, prepare, start_server
from tests.support.lifeline import MadeOnce


def start(settings: Settings) -> Prepared:
    async def inner() -> Prepared:
        prepared = await prepare(settings, FakeClock())
        await prepared.db.close()
        return prepared

    return asyncio.run(inner())


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.model_validate({"data_dir": tmp_path / "data"})


@pytest.fixture(scope="session")
def first_started(made_once: MadeOnce) -> Path:
    """The folder of a server after its first start, which takes a second for the tables."""

    def make(folder: Path) -> None:
        start(Settings.model_validate({"data_dir": folder / "data"}))

    return made_once("first", make) / "data"


@pytest.fixture
def started(settings: Settings, first_started: Path) -> Settings:
    """A server that was started before."""
    shutil.copytree(first_started, settings.data_dir)
    return settings


@pytest.mark.slow
def test_first_start_makes_everything_and_the_second_finds_it(settings: Settings) -> None:
    first = start(settings)
    second = start(settings)

    assert first.facts == second.facts
    assert first.keys.opaque_setup == second.keys.opaque_setup
    assert len(first.facts.server_id) == 16
    assert first.first_invite is None
    for secret in (first.keys.opaque_setup, first.keys.channel, first.keys.token, first.keys.log):
        database = (settings.data_dir / "mensajeria.db").read_bytes()
        assert secret.reveal() not in database


@pytest.mark.skipif(os.name != "posix", reason="modes are a POSIX thing")
@pytest.mark.parametrize("make", [commands.migrate_database, start])
def test_the_database_is_private_in_a_folder_that_is_not(
    settings: Settings, make: Callable[[Settings], object]
) -> None:
    settings.data_dir.mkdir(mode=0o755)
    make(settings)
    for file in settings.data_dir.glob("mensajeria.db*"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name


@pytest.mark.skipif(os.name != "posix", reason="modes are a POSIX thing")
def test_modes(started: Settings) -> None:
    assert stat.S_IMODE(started.secrets_dir.stat().st_mode) == 0o700
    for name, size in SIZES.items():
        file = started.secrets_dir / name
        assert (stat.S_IMODE(file.stat().st_mode), file.stat().st_size) == (0o600, size)
    (started.secrets_dir / "ck.key").chmod(0o644)
    with pytest.raises(StateError, match="secret_file_open"):
        start(started)


def test_database_without_its_secrets_does_not_start(started: Settings) -> None:
    shutil.rmtree(started.secrets_dir)

    with pytest.raises(StateError, match="secrets_lost"):
        start(started)
    assert not started.secrets_dir.exists()


@pytest.mark.slow
def test_secrets_of_another_database_are_noticed(started: Settings, tmp_path: Path) -> None:
    other = Settings.model_validate({"data_dir": tmp_path / "other"})
    start(other)
    shutil.rmtree(started.secrets_dir)
    shutil.copytree(other.secrets_dir, started.secrets_dir)

    with pytest.raises(StateError, match="secrets_foreign"):
        start(started)


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("damage", ["missing", "short"])
def test_damaged_secret_is_named(started: Settings, name: str, damage: str) -> None:
    file = started.secrets_dir / name
    content = file.read_bytes()
    file.unlink()
    if damage == "short":
        file.touch(0o600)
        file.write_bytes(content[:-1])

    with pytest.raises(StateError, match=name):
        start(started)


@pytest.mark.slow
def test_secrets_made_before_a_kill_are_taken_over(settings: Settings) -> None:
    """The order is: secrets, then facts. Here the process died between the two."""
    settings.data_dir.mkdir(parents=True)
    made = create_key_files(settings.secrets_dir)

    assert start(settings).keys.channel == made.channel


@pytest.mark.slow
def test_half_made_secrets_are_made_again(settings: Settings) -> None:
    draft = settings.data_dir / "secrets.new"
    draft.mkdir(parents=True)
    (draft / "ck.key").write_bytes(b"half")

    start(settings)

    assert not draft.exists()
    assert load_key_files(settings.secrets_dir) is not None


def test_who_makes_secrets_second_has_those_of_the_first(tmp_path: Path) -> None:
    """Two processes start at the same moment: both have found none."""
    first = create_key_files(tmp_path / "secrets")

    second = create_key_files(tmp_path / "secrets")

    assert second.fingerprint == first.fingerprint
    assert [left.name for left in tmp_path.iterdir()] == ["secrets"]


def test_secrets_do_not_show(started: Settings) -> None:
    prepared = start(started)

    assert prepared.keys.channel.reveal().hex() not in repr(prepared.keys)
    assert "decoy" not in repr(prepared.facts)


@pytest.mark.slow
def test_first_start_of_a_server_for_others_gives_one_invite(tmp_path: Path) -> None:
    public = Settings.model_validate({"data_dir": tmp_path / "data", "host": "0.0.0.0"})

    first = start(public)

    assert first.first_invite is not None
    assert len(first.first_invite.reveal()) == 16
    assert start(public).first_invite is None


# ---------------------------------------------------------------------------------------------- operator's functions


@pytest.mark.slow
def test_init_then_invites(tmp_path: Path) -> None:
    settings = Settings.model_validate({"data_dir": tmp_path / "data", "registration": "invite"})
    clock = FakeClock()

    made = commands.initialise(settings, clock)
    again = commands.initialise(settings, clock)

    assert made.created
    assert made.invite is not None
    assert (again.created, again.invite, again.server_id) == (False, None, made.server_id)
    invite = commands.create_invite(settings, uses=3, days=2, clock=clock)
    assert unb64(invite.text) == invite.token.reveal()
    rows = commands.list_invites(settings)
    assert [(row.id, row.uses_left) for row in rows] == [(invite.id, 3), (1, 1)]
    commands.revoke_invite(settings, invite.id, clock)
    assert [row.is_usable(clock.now_ms()) for row in commands.list_invites(settings)] == [False, True]
    with pytest.raises(LookupError):
        commands.revoke_invite(settings, 99)
    for uses, days in ((0, 1), (1, 0), (1, -1), (10**6, 1)):
        with pytest.raises(ValueError, match="invite"):
            commands.create_invite(settings, uses=uses, days=days)
    assert commands.list_users(settings) == []


async def test_a_second_server_on_the_same_file_does_not_start_before_the_first_has_ended(started: Settings) -> None:
    first = await start_server(started, FakeClock())
    with pytest.raises(StateError, match="database_in_use"):
        await start_server(started, FakeClock())
    await first.close()

    await (await start_server(started, FakeClock())).close()


async def test_a_start_that_fails_keeps_nobody_out(started: Settings) -> None:
    secrets = started.secrets_dir.rename(started.data_dir / "elsewhere")
    with pytest.raises(StateError, match="secrets_lost"):
        await start_server(started, FakeClock())
    secrets.rename(started.secrets_dir)

    await (await start_server(started, FakeClock())).close()


def test_commands_need_a_migrated_database(settings: Settings) -> None:
    settings.data_dir.mkdir()
    with pytest.raises(SchemaError):
        commands.list_users(settings)
    assert commands.migrate_database(settings).before is None
    assert commands.list_users(settings) == []


def test_settings_are_shown_without_secrets() -> None:
    settings = Settings.model_validate({"database_url": "postgresql://u:s3cret@h/d"})
    shown = {setting.name: setting for setting in commands.show_settings(settings)}

    assert shown["MENSAJERIA_DATABASE_URL"].value == "***"
    assert shown["MENSAJERIA_PORT"].is_default
    assert not shown["MENSAJERIA_DATABASE_URL"].is_default
    assert "s3cret" not in repr(shown)
