"""A profile that is taken away: nothing of it is left, and whoever is killed meanwhile has no half of one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mensajeria.client.errors import ProfileError
from mensajeria.client.profile import Profile, ProfileInfo
from mensajeria.client.profiles import Opened, new_profile, open_profile
from mensajeria.client.removal import NOTE, erase_profile
from tests.client.vault.test_vault import MemoryKeyring, backend, no_backend

__all__ = ["backend", "no_backend"]
INFO = ProfileInfo(server_url="https://a.example", server_id="0" * 32, uid="1" * 32, did="2" * 32, handle="ana")
KEPT = {"lock", "preferences.json"}


async def made(folder: Path, *, plain: bool = True) -> Opened:
    """A profile, open."""
    async with new_profile(folder, None, insecure_key_file=plain) as opened:
        await asyncio.to_thread(opened.profile.save, INFO)
    return opened


def furnish(folder: Path) -> None:
    """What else lies in a folder in use."""
    for name in ("outgoing", "incoming"):
        (folder / name).mkdir()
        (folder / name / "part").write_bytes(b"ciphertext")
    (folder / "preferences.json").write_text("{}")


async def names(folder: Path) -> set[str]:
    return await asyncio.to_thread(lambda: {path.name for path in folder.iterdir()})


async def is_missing(folder: Path) -> None:
    with pytest.raises(ProfileError, match="profile_missing"):
        await open_profile(folder, None)


async def test_nothing_of_a_profile_is_left_and_another_may_begin_there(tmp_path: Path) -> None:
    folder = tmp_path / "ana"
    opened = await made(folder)
    await asyncio.to_thread(furnish, folder)
    assert {"store.db", "key.plain", "profile.json"} <= await names(folder)
    await opened.erase()
    assert await names(folder) == KEPT
    await is_missing(folder)
    await (await made(folder)).close()


async def test_the_key_leaves_the_keyring(tmp_path: Path, backend: MemoryKeyring) -> None:
    opened = await made(tmp_path / "ana", plain=False)
    assert len(backend.entries) == 1
    await opened.erase()
    assert backend.entries == {}


async def test_a_keyring_that_does_not_answer_holds_up_nothing(tmp_path: Path, backend: MemoryKeyring) -> None:
    opened = await made(tmp_path / "ana", plain=False)
    backend.broken = True
    await opened.erase()
    assert await names(tmp_path / "ana") == {"lock"}


class Killed(BaseException):
    """The process is gone."""


def erase_until(folder: Path, survives: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Erase, and be killed instead of taking away the file after so many; whether there were so many."""
    unlink, done = Path.unlink, 0

    def counted(path: Path, missing_ok: bool = False) -> None:
        nonlocal done
        if done == survives:
            raise Killed
        done += 1
        unlink(path, missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", counted)
        try:
            erase_profile(folder)
        except Killed:
            return True
    return False


@pytest.mark.slow
async def test_who_is_killed_meanwhile_has_no_profile_and_the_next_one_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every file that goes."""
    killed = 0
    for survives in range(20):
        folder = tmp_path / str(survives)
        await (await made(folder)).close()
        await asyncio.to_thread(furnish, folder)
        if not await asyncio.to_thread(erase_until, folder, survives, monkeypatch):
            break
        killed += 1
        assert NOTE in await names(folder)
        await is_missing(folder)
        await (await made(folder)).close()
        assert await names(folder) & {NOTE, "outgoing", "incoming"} == set()
    assert 3 <= killed < 20


def test_a_profile_in_use_is_not_taken_away_by_another(tmp_path: Path) -> None:
    folder = tmp_path / "ana"
    with Profile.reserve(folder) as profile:
        profile.save(INFO)
        (folder / NOTE).write_bytes(b"")
        with pytest.raises(ProfileError, match="profile_in_use"):
            Profile.open(folder)
        assert (folder / "profile.json").exists()
