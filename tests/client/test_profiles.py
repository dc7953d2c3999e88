"""A profile is made as a whole: what a killed process leaves behind is in nobody's way."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from mensajeria.client.errors import ProfileError
from mensajeria.client.profile import UNFINISHED, ProfileInfo
from mensajeria.client.profiles import new_profile, open_profile

INFO = ProfileInfo(server_url="https://chat.example", server_id="0" * 32, uid="1" * 32, did="2" * 32, handle="ana")


async def make(folder: Path, *, killed: Path | None = None) -> None:
    """Make a profile; `killed` becomes what lies there when the process dies before its description is written."""
    async with new_profile(folder, None, insecure_key_file=True) as opened:
        if killed is not None:
            await asyncio.to_thread(shutil.copytree, folder, killed, ignore=shutil.ignore_patterns("lock"))
        await asyncio.to_thread(opened.profile.save, INFO)
    await opened.close()


async def test_a_folder_in_which_the_maker_was_killed_takes_a_new_profile(tmp_path: Path) -> None:
    await make(tmp_path / "first", killed=tmp_path / "killed")
    assert (tmp_path / "killed" / "store.db").exists()
    await make(tmp_path / "killed")
    opened = await open_profile(tmp_path / "killed", None)
    await opened.close()


async def test_a_finished_profile_is_not_marked(tmp_path: Path) -> None:
    await make(tmp_path)
    assert not (tmp_path / UNFINISHED).exists()


async def test_a_maker_killed_after_the_description_has_made_a_profile_to_be_kept(
    tmp_path: Path,
) -> None:
    await make(tmp_path)
    (tmp_path / UNFINISHED).touch()
    opened = await open_profile(tmp_path, None)
    await opened.close()
    assert not (tmp_path / UNFINISHED).exists()


@pytest.mark.parametrize("left", ["key.plain", "store.db"])
async def test_what_is_left_of_a_finished_profile_is_not_touched(tmp_path: Path, left: str) -> None:
    await make(tmp_path / "a")
    keep = tmp_path / "b"
    keep.mkdir()
    os.link(tmp_path / "a" / left, keep / left)
    with pytest.raises(ProfileError) as caught:
        await make(keep)
    assert caught.value.code == "profile_exists"
    assert (keep / left).exists()
    assert not (keep / UNFINISHED).exists(), "or the next one would clear it away"


async def test_what_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    with pytest.raises(RuntimeError, match="no network"):
        async with new_profile(folder, None, insecure_key_file=True):
            raise RuntimeError("no network")
    assert [path.name for path in folder.iterdir()] == ["lock"]


async def test_an_opening_that_is_cut_off_at_any_moment_leaves_the_folder_free(tmp_path: Path) -> None:
    await make(tmp_path)
    whole, moment, threads = False, 0.0, set(threading.enumerate())
    while not whole:
        opening = asyncio.create_task(open_profile(tmp_path, None))
        await asyncio.sleep(moment)
        whole = not opening.cancel()
        moment += 0.002
        with suppress(asyncio.CancelledError):
            await (await opening).close()
        again = await open_profile(tmp_path, None)
        await again.close()
    assert not [one for one in set(threading.enumerate()) - threads if one.name.startswith("mensajeria-store")]
