"""A profile's folder: one process at a time, its description, and hostile contents."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mensajeria.client import profile as profile_module
from mensajeria.client.errors import ProfileError
from mensajeria.client.profile import Profile, ProfileInfo, default_folder, load_info
from tests.support.examples import examples

INFO = ProfileInfo(server_url="https://chat.example", server_id="0" * 32, uid="1" * 32, did="2" * 32, handle="ana")
HOLDER = """
import sys, time
from pathlib import Path
from mensajeria.client.profile import Profile
profile = Profile.open(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def made(folder: Path) -> None:
    with Profile.reserve(folder) as profile:
        profile.save(INFO)


def code(folder: Path) -> str:
    with pytest.raises(ProfileError) as caught:
        Profile.open(folder)
    return caught.value.code


def test_a_profile_is_made_and_opened(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    made(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "profile.json").stat().st_mode & 0o777 == 0o600
    with Profile.open(folder) as profile:
        assert (profile.info, profile.folder, profile.store_path) == (INFO, folder, folder / "store.db")
    assert load_info(folder) == INFO


def test_a_profile_is_not_made_twice(tmp_path: Path) -> None:
    made(tmp_path)
    with pytest.raises(ProfileError) as caught:
        Profile.reserve(tmp_path)
    assert caught.value.code == "profile_exists"
    Profile.open(tmp_path).close()


def test_nothing_is_known_before_it_is_saved(tmp_path: Path) -> None:
    with Profile.reserve(tmp_path) as profile, pytest.raises(ProfileError) as caught:
        _ = profile.info
    assert caught.value.code == "profile_missing"
    assert code(tmp_path) == "profile_missing"


def test_opening_what_is_not_there_makes_nothing(tmp_path: Path) -> None:
    assert code(tmp_path / "nowhere") == "profile_missing"
    assert not list(tmp_path.iterdir())


def test_two_openings_in_one_process_are_refused(tmp_path: Path) -> None:
    made(tmp_path)
    with Profile.open(tmp_path):
        assert code(tmp_path) == "profile_in_use"
    with Profile.open(tmp_path) as profile:
        profile.close()
        profile.close()
        Profile.open(tmp_path).close()


@pytest.mark.skipif(os.name != "posix", reason="kills by SIGKILL")
def test_the_lock_holds_against_other_processes_and_dies_with_its_own(tmp_path: Path) -> None:
    made(tmp_path)
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert code(tmp_path) == "profile_in_use"
        assert (tmp_path / "lock").read_text() == str(holder.pid)
        holder.kill()
        holder.wait()
        Profile.open(tmp_path).close()


def test_a_lock_in_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ProfileError) as caught:
        Profile.reserve(tmp_path / "file")
    assert caught.value.code == "store_failed"


def test_a_damaged_description_gives_a_clear_error_and_lets_go(tmp_path: Path) -> None:
    made(tmp_path)
    path = tmp_path / "profile.json"
    good = path.read_bytes()
    cases = {
        b"": "profile_damaged",
        b"{": "profile_damaged",
        b"[" * 10000: "profile_damaged",
        b"x" * 20000: "profile_damaged",
        b"\xff\xfe": "profile_damaged",
        good.replace(b'"v": 1', b'"v": 2'): "profile_newer",
        good.replace(b'"v": 1', b'"v": 0'): "profile_damaged",
        good.replace(b'"ana"', b'"ANA"'): "profile_damaged",
        good.replace(b'"handle"', b'"extra"'): "profile_damaged",
        good.replace(b"1" * 32, b"1" * 31): "profile_damaged",
    }
    for data, expected in cases.items():
        path.write_bytes(data)
        assert code(tmp_path) == expected, data[:40]
    path.write_bytes(good)
    Profile.open(tmp_path).close()


@examples(300)
@given(st.binary(max_size=200))
def test_any_description_is_refused_with_the_declared_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    (folder / "profile.json").write_bytes(data)
    with pytest.raises(ProfileError) as caught:
        load_info(folder)
    assert caught.value.code in {"profile_damaged", "profile_newer"}


def test_the_description_has_no_secret_and_is_readable(tmp_path: Path) -> None:
    made(tmp_path)
    fields = set(msgspec.json.decode((tmp_path / "profile.json").read_bytes()))
    assert fields == {"v", "server_url", "server_id", "uid", "did", "handle", "registered"}


def test_the_default_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    if sys.platform == "linux":
        assert default_folder() == tmp_path / "mensajeria" / "profile"
    assert profile_module.VERSION == 1
