"""A profile: the folder of one account on one device, opened by one process at a time.

Nothing in `profile.json` is secret.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO, Annotated, Final, Self

import msgspec
from platformdirs import user_data_path

from mensajeria.client.errors import ProfileError
from mensajeria.client.files import read_small, write_private
from mensajeria.client.removal import finish_erasing
from mensajeria.kit.lockfile import hold
from mensajeria.protocol import limits

VERSION: Final = 1
UNFINISHED: Final = "unfinished"
"""Name of an empty file: what lies in the folder is being made, and is no profile without `profile.json`."""
_MAX_BYTES: Final = 16 << 10
_Hex16 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]


class ProfileInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`profile.json`. Ids in hexadecimal. `registered` False: made, but the server's answer has not been seen."""

    v: int = VERSION
    server_url: Annotated[str, msgspec.Meta(min_length=1, max_length=2048)]
    server_id: _Hex16
    uid: _Hex16
    did: _Hex16
    handle: Annotated[str, msgspec.Meta(pattern=limits.HANDLE_EXACT)]
    registered: bool = True


class _Version(msgspec.Struct):
    v: int


class Profile:
    """A profile's folder, locked for this process from `reserve` or `open` to `close` (or the end of the process)."""

    def __init__(self, folder: Path, lock: IO[bytes], info: ProfileInfo | None) -> None:
        self._folder = folder
        self._lock = lock
        self._info = info

    @classmethod
    def reserve(cls, folder: Path) -> Self:
        """Lock a folder (made when missing, mode 0700) for a new profile. Blocks: not for the loop's thread.

        Raises ProfileError: profile_exists, account_unsure, profile_in_use, store_failed, and as `load_info`.
        """
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ProfileError("store_failed", str(error)) from error
        lock = _acquire(folder / "lock")
        try:
            finish_erasing(folder)
        except ProfileError:
            lock.close()
            raise
        try:
            _require_free(folder)
        except ProfileError:
            lock.close()
            raise
        return cls(folder, lock, None)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Lock an existing profile. Blocks: not for the loop's thread.

        Raises ProfileError: profile_missing, profile_in_use, profile_damaged, profile_newer, store_failed.
        """
        if not (folder / "profile.json").is_file():
            raise ProfileError("profile_missing", "this folder holds no profile")
        lock = _acquire(folder / "lock")
        try:
            finish_erasing(folder)
            profile = cls(folder, lock, load_info(folder))
            profile.finish()  # whoever made it may have been killed just then
        except ProfileError:
            lock.close()
            raise
        return profile

    @property
    def folder(self) -> Path:
        """The profile's folder."""
        return self._folder

    @property
    def store_path(self) -> Path:
        """The encrypted store."""
        return self._folder / "store.db"

    @property
    def info(self) -> ProfileInfo:
        """Whose profile it is. Raises ProfileError profile_missing before `save`."""
        if self._info is None:
            raise ProfileError("profile_missing", "nothing was saved yet")
        return self._info

    def save(self, info: ProfileInfo) -> None:
        """Write `profile.json` as a whole. Blocks. Raises ProfileError store_failed."""
        try:
            write_private(self._folder / "profile.json", msgspec.json.format(msgspec.json.encode(info)))
        except OSError as error:
            raise ProfileError("store_failed", str(error)) from error
        self._info = info

    @property
    def is_unconfirmed(self) -> bool:
        """Whether it was made for an account of which the server has not said yet that it is there."""
        return self._info is not None and not self._info.registered

    def withdraw(self) -> None:
        """The server has refused to make the account: it is no profile any more. Raises ProfileError store_failed."""
        try:
            write_private(self._folder / UNFINISHED, b"")
            (self._folder / "profile.json").unlink(missing_ok=True)
        except OSError as error:
            raise ProfileError("store_failed", str(error)) from error
        self._info = None

    def finish(self) -> None:
        """It is complete: nothing of it is ever removed from now on. Raises ProfileError store_failed."""
        try:
            (self._folder / UNFINISHED).unlink(missing_ok=True)
        except OSError as error:
            raise ProfileError("store_failed", str(error)) from error

    def close(self) -> None:
        """Let go of the lock. May be called twice."""
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def load_info(folder: Path) -> ProfileInfo:
    """Read `profile.json` without locking. Raises ProfileError: profile_missing, profile_damaged, profile_newer."""
    try:
        data = read_small(folder / "profile.json", _MAX_BYTES)
        if data is None:
            raise ProfileError("profile_missing", "this folder holds no profile")
        if msgspec.json.decode(data, type=_Version).v > VERSION:
            raise ProfileError("profile_newer", "profile.json is of a newer version")
        info = msgspec.json.decode(data, type=ProfileInfo)
    except OSError as error:
        raise ProfileError("store_failed", str(error)) from error
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ProfileError("profile_damaged", "profile.json is damaged") from error
    if info.v != VERSION:
        raise ProfileError("profile_damaged", "profile.json has no known version")
    return info


def _require_free(folder: Path) -> None:
    if not (folder / "profile.json").exists():
        return
    info = load_info(folder)
    if not info.registered:
        raise ProfileError("account_unsure", params={"handle": info.handle})
    raise ProfileError("profile_exists", "this folder holds a profile")


def default_folder() -> Path:
    """Where the profile lies when none is named."""
    return user_data_path("mensajeria", appauthor=False) / "profile"


def _acquire(path: Path) -> IO[bytes]:
    try:
        return hold(path)
    except BlockingIOError as error:
        raise ProfileError("profile_in_use", "another process has this profile open") from error
    except OSError as error:
        raise ProfileError("store_failed", str(error)) from error
