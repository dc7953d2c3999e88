"""`key.plain`: the key as it is, in a file that only its owner may read. Made on request only."""

from __future__ import annotations

import os
from pathlib import Path

from mensajeria.client.errors import ProfileError
from mensajeria.client.files import write_private
from mensajeria.client.vault.content import Content
from mensajeria.client.vault.sealed_file import read_file


class PlainFile:
    """`key.plain`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Content:
        """See `Place.load`. A file that others may read is refused: it must be looked after before it is used."""
        data = read_file(self._path)
        if os.name == "posix" and self._path.stat().st_mode & 0o077:
            raise ProfileError("profile_damaged", "key.plain is readable by others: chmod 600 it")
        try:
            return Content.decode(data)
        except ValueError as error:
            raise ProfileError("profile_damaged", "key.plain holds no key") from error

    def store(self, content: Content) -> None:
        """See `Place.store`."""
        try:
            write_private(self._path, content.encode().reveal())
        except OSError as error:
            raise ProfileError("store_failed", str(error)) from error
