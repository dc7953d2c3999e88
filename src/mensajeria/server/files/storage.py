"""Where the bytes of files are kept: what every storage promises, and the folder on this machine.

Names are made of the file's random id alone. Nothing here knows who owns what; the rows of `file` do.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO, Final, Protocol

READ_BYTES: Final = 256 << 10
"""Bytes read and handed on at a time."""


class StorageError(OSError):
    """The storage does not answer, or has lost a file."""


class Storage(Protocol):
    """Keeps files that grow step by step and never change once they are sealed.

    Steps of one file come one after the other, each where the last one ended or again at its start.
    """

    async def write(self, file_id: bytes, offset: int, chunks: AsyncIterator[bytes]) -> int:
        """Store a step that begins at `offset`; return its bytes once they are durable.

        What was there from `offset` on is replaced. If `chunks` raises, the step counts as never made.
        """
        ...

    async def seal(self, file_id: bytes) -> None:
        """The file is complete. Again is no error."""
        ...

    def read(self, file_id: bytes, start: int, stop: int) -> AsyncIterator[bytes]:
        """The bytes [start, stop) of a sealed file; raises StorageError when they are not there."""
        ...

    async def delete(self, file_id: bytes) -> None:
        """Remove a file, sealed or not. One that is not there is no error."""
        ...


class FolderStorage:
    """Files in a folder: `ab/abcd....part` while they grow, without `.part` when they are complete."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def _path(self, file_id: bytes) -> Path:
        name = file_id.hex()
        return self._root / name[:2] / name

    async def write(self, file_id: bytes, offset: int, chunks: AsyncIterator[bytes]) -> int:
        """See `Storage.write`."""
        file = await asyncio.to_thread(_open_part, _part(self._path(file_id)), offset)
        written = 0
        try:
            async for chunk in chunks:
                await asyncio.to_thread(file.write, chunk)
                written += len(chunk)
            await asyncio.to_thread(_sync, file)
        finally:
            await asyncio.to_thread(file.close)
        return written

    async def seal(self, file_id: bytes) -> None:
        """See `Storage.seal`."""
        await asyncio.to_thread(_seal, self._path(file_id))

    async def read(self, file_id: bytes, start: int, stop: int) -> AsyncIterator[bytes]:
        """See `Storage.read`."""
        file = await asyncio.to_thread(_open_at, self._path(file_id), start)
        try:
            while start < stop:
                chunk = await asyncio.to_thread(file.read, min(READ_BYTES, stop - start))
                if not chunk:
                    raise StorageError("a file is shorter than its row says")
                start += len(chunk)
                yield chunk
        finally:
            await asyncio.to_thread(file.close)

    async def delete(self, file_id: bytes) -> None:
        """See `Storage.delete`."""
        await asyncio.to_thread(_delete, self._path(file_id))


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _open_part(path: Path, offset: int) -> BinaryIO:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
    file = os.fdopen(descriptor, "r+b")
    if file.seek(0, os.SEEK_END) < offset:
        file.close()
        raise StorageError("an unfinished file is shorter than its row says")
    file.truncate(offset)
    file.seek(offset)
    return file


def _open_at(path: Path, start: int) -> BinaryIO:
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise StorageError("a file is missing") from error
    file.seek(start)
    return file


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _seal(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):  # sealed before the answer was lost
        _part(path).rename(path)
    if not path.exists():
        raise StorageError("a file is missing")
    _sync_folder(path.parent)
    _sync_folder(path.parent.parent)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _delete(path: Path) -> None:
    path.unlink(missing_ok=True)
    _part(path).unlink(missing_ok=True)
