"""Taking a profile away from this computer, for good: the key first, then everything that it opens.

A note in the folder is written before anything goes and is the last to go: who is killed meanwhile has no profile any
more, and whoever opens the folder next ends the work. What is not the profile's (settings of the window, downloads)
stays.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from mensajeria.client.errors import ProfileError
from mensajeria.client.files import sync_folder, write_private
from mensajeria.client.vault import forget_key

NOTE: Final = "erasing"
"""Name of an empty file: the folder's profile was given up."""
_FILES: Final = ("key.*", "store.db*", "control.sock", "unfinished", "profile.json*")
"""In this order: without the key the store is noise; without `profile.json` there is no profile."""
_FOLDERS: Final = ("incoming", "outgoing")
"""Parts of files on their way (`transfer`)."""


def erase_profile(folder: Path) -> None:
    """Erase a profile whose folder this process has locked and whose store is closed. Raises ProfileError."""
    try:
        write_private(folder / NOTE, b"")
    except OSError as error:
        raise ProfileError("store_failed", str(error)) from error
    finish_erasing(folder)


def finish_erasing(folder: Path) -> None:
    """End what was begun, if anything was. The folder is locked. Raises ProfileError store_failed."""
    if not (folder / NOTE).exists():
        return
    try:
        forget_key(folder)
        for pattern in _FILES:
            for path in folder.glob(pattern):
                path.unlink(missing_ok=True)
            sync_folder(folder)
        for name in _FOLDERS:
            if (folder / name).exists():
                shutil.rmtree(folder / name)
        (folder / NOTE).unlink(missing_ok=True)
        sync_folder(folder)
    except OSError as error:
        raise ProfileError("store_failed", str(error)) from error
