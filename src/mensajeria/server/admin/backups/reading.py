"""Reading a backup that anybody may have written: plain files with the few known names, and nothing else."""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mensajeria.server.admin.backups.errors import BackupError, DamagedError
from mensajeria.server.admin.backups.manifest import MAX_BYTES, MAX_PARTS, NAME, Manifest, Part, decode, is_part
from mensajeria.server.admin.backups.writing import TAR_BLOCK, exactly, header

OUTSIDE: Final = "(a name that no backup has)"
_DEPTH: Final = 3


@dataclass(frozen=True, slots=True)
class _Place:
    offset: int
    size: int


class BackupReader(ABC):
    """A backup whose parts are those of its manifest, by name and size. Their bytes are checked as they are read."""

    def __init__(self, path: Path) -> None:
        """Raises BackupError: DamagedError, `server_backup_newer`; OSError."""
        self.path = path
        self._places = self._index()
        found = self._places.pop(NAME, None)
        if found is None or found.size > MAX_BYTES:
            raise DamagedError(NAME)
        self.manifest: Manifest = decode(b"".join(self._read(NAME, found)))
        self._compare()

    def _compare(self) -> None:
        named = {part.path: part.size for part in self.manifest.parts}
        there = {path: place.size for path, place in self._places.items()}
        for path in sorted(named.keys() | there.keys()):
            if named.get(path) != there.get(path):
                raise DamagedError(path)

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return sum(part.size for part in self.manifest.parts)

    def blocks(self, part: Part) -> Iterator[bytes]:
        """The bytes of a part; raises DamagedError behind the last one when they are others than the manifest says."""
        digest = hashlib.sha256()
        for block in self._read(part.path, self._places[part.path]):
            digest.update(block)
            yield block
        if digest.hexdigest() != part.sha256:
            raise DamagedError(part.path)

    def whole(self, part: Part) -> bytes:
        """A small part at once."""
        return b"".join(self.blocks(part))

    @abstractmethod
    def _index(self) -> dict[str, _Place]:
        """Where everything is; raises DamagedError for what no backup has."""

    @abstractmethod
    def _read(self, path: str, place: _Place) -> Iterator[bytes]: ...


def _put(places: dict[str, _Place], path: str, place: _Place) -> None:
    if not (path == NAME or is_part(path)) or path in places or len(places) > MAX_PARTS:
        raise DamagedError(OUTSIDE)
    places[path] = place


class FolderReader(BackupReader):
    """A folder; links in it are refused."""

    def _index(self) -> dict[str, _Place]:
        places: dict[str, _Place] = {}
        self._walk(self.path, "", places, _DEPTH)
        return places

    def _walk(self, folder: Path, prefix: str, places: dict[str, _Place], depth: int) -> None:
        with os.scandir(folder) as entries:
            for entry in entries:
                found = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(found.st_mode) and depth > 1:
                    self._walk(folder / entry.name, f"{prefix}{entry.name}/", places, depth - 1)
                elif stat.S_ISREG(found.st_mode):
                    _put(places, prefix + entry.name, _Place(0, found.st_size))
                else:
                    raise DamagedError(OUTSIDE)

    def _read(self, path: str, place: _Place) -> Iterator[bytes]:
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(self.path / path, flags), "rb") as file:
            yield from exactly(file, place.size, path)
            if file.read(1):
                raise DamagedError(path)


class TarReader(BackupReader):
    """A tar as `TarWriter` writes it, to the byte: other headers, links and longer names among them, are refused."""

    def _index(self) -> dict[str, _Place]:
        places: dict[str, _Place] = {}
        with self.path.open("rb") as file:
            length = os.fstat(file.fileno()).st_size
            while any(block := file.read(TAR_BLOCK)):
                path, size = _parse(block)
                start = file.tell()
                if start + size > length:
                    raise DamagedError(path)
                _put(places, path, _Place(start, size))
                file.seek(start + size)
                if any(file.read(-size % TAR_BLOCK)):
                    raise DamagedError(path)
            if block + file.read(TAR_BLOCK + 1) != bytes(2 * TAR_BLOCK):
                raise DamagedError(self.path.name)
        return places

    def _read(self, path: str, place: _Place) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            file.seek(place.offset)
            yield from exactly(file, place.size, path)


def _parse(block: bytes) -> tuple[str, int]:
    try:
        info = tarfile.TarInfo.frombuf(block, "ascii", "strict")
        if header(info.name, info.size) == block and info.size >= 0:
            return info.name, info.size
    except (tarfile.TarError, ValueError, OverflowError) as error:
        raise DamagedError(OUTSIDE) from error
    raise DamagedError(OUTSIDE)


def open_backup(path: Path) -> BackupReader:
    """A folder or a tar, by what is there.

    Raises:
        BackupError: `backup_missing`, `server_backup_damaged`, `server_backup_newer`.
        OSError: it cannot be read.
    """
    if path.is_dir():
        return FolderReader(path)
    if not path.is_file():
        raise BackupError("backup_missing")
    return TarReader(path)
