"""Where a backup is written to: a folder or one tar, under a temporary name until it is whole and on the disk."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import BinaryIO, Final, Self

from mensajeria.server.admin.backups.errors import BackupError, DamagedError
from mensajeria.server.admin.backups.manifest import NAME, Manifest, Part, encode

BLOCK: Final = 1 << 20
TAR_BLOCK: Final = 512


def header(path: str, size: int) -> bytes:
    """The one tar header of a part: 512 bytes (GNU's form), a plain file for its owner alone, nobody's name, no time.

    Not the standard library's: that has changed over time, and readers compare to the byte.

    Raises:
        ValueError, OverflowError: no part has such a name or size.
    """
    name = path.encode("ascii").ljust(100, b"\0")
    if len(name) != 100:  # noqa: PLR2004 - of the format
        raise ValueError("a name of more than 100 bytes")
    length = b"%011o\0" % size if 0 <= size < 1 << 33 else b"\x80" + size.to_bytes(11, "big")
    start = name + b"0000600\0" + b"0000000\0" * 2 + length + b"0" * 11 + b"\0"
    end = (b"0" + bytes(100) + b"ustar  \0").ljust(TAR_BLOCK - len(start) - 8, b"\0")
    return start + b"%06o\0 " % (sum(start) + sum(end) + 8 * 32) + end


def create_private(path: Path) -> BinaryIO:
    """A new file for its owner alone."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags, 0o600), "wb")


def sync(file: BinaryIO) -> None:
    """Bring a file's bytes to the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folders(root: Path) -> None:
    """As `sync_folder`, for a folder and those in it."""
    for folder in (root, *(path for path in root.rglob("*") if path.is_dir())):
        sync_folder(folder)


def make_folders(root: Path, path: str) -> None:
    """Those that a part lies in."""
    for folder in (*reversed(PurePosixPath(path).parents),):
        (root / folder).mkdir(mode=0o700, exist_ok=True)


class BackupWriter(ABC):
    """Takes parts one after the other. `finish` gives the backup its name; without it nothing stays behind."""

    def __init__(self, target: Path) -> None:
        """Raises BackupError `target_exists`."""
        self._target = target
        self._refuse_existing()
        self._draft = target.with_name(f".{target.name}.{secrets.token_hex(6)}.new")
        self._parts: list[Part] = []

    @property
    def scratch(self) -> Path:
        """A name beside the backup for a file that is made whole before it becomes a part."""
        return self._draft.with_name(self._draft.name + ".part")

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        for leftover in (self._draft, self.scratch):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)

    def add(self, path: str, source: BinaryIO, size: int) -> None:
        """Copy a part; raises DamagedError when `source` does not have exactly `size` bytes."""
        digest = hashlib.sha256()
        with self._place(path, size) as out:
            for block in exactly(source, size, path):
                digest.update(block)
                out.write(block)
        self._parts.append(Part(path, digest.hexdigest(), size))

    def add_scratch(self, path: str) -> None:
        """Take what was made at `scratch` as a part."""
        with self.scratch.open("rb") as source:
            self.add(path, source, os.fstat(source.fileno()).st_size)
        self.scratch.unlink()

    def finish(self, manifest: Manifest) -> Manifest:
        """Write the manifest, with what was added, and give everything its name; raises as the constructor."""
        whole = Manifest(
            **{name: getattr(manifest, name) for name in manifest.__struct_fields__ if name != "parts"},
            parts=tuple(sorted(self._parts, key=lambda part: part.path)),
        )
        data = encode(whole)
        with self._place(NAME, len(data)) as out:
            out.write(data)
        self._close()
        self._refuse_existing()
        self._draft.rename(self._target)
        sync_folder(self._target.parent)
        return whole

    def _refuse_existing(self) -> None:
        if self._target.exists() or self._target.is_symlink():
            raise BackupError("target_exists")

    @abstractmethod
    def _open(self) -> None: ...

    @abstractmethod
    def _close(self) -> None:
        """Everything is on the disk afterwards. Again is no error."""

    @abstractmethod
    @contextmanager
    def _place(self, path: str, size: int) -> Iterator[BinaryIO]:
        """Where the bytes of a part go."""


def exactly(source: BinaryIO, size: int, path: str) -> Iterator[bytes]:
    """The `size` bytes of a file, in blocks; raises DamagedError when it has others."""
    left = size
    while left:
        block = source.read(min(BLOCK, left))
        if not block:
            raise DamagedError(path)
        left -= len(block)
        yield block


class FolderWriter(BackupWriter):
    """A folder with the parts as files."""

    def _open(self) -> None:
        self._draft.mkdir(mode=0o700)

    def _close(self) -> None:
        if self._draft.is_dir():
            sync_folders(self._draft)

    @contextmanager
    def _place(self, path: str, size: int) -> Iterator[BinaryIO]:  # noqa: ARG002 - a tar must know it before
        make_folders(self._draft, path)
        with create_private(self._draft / path) as file:
            yield file
            sync(file)


class TarWriter(BackupWriter):
    """One uncompressed tar."""

    _file: BinaryIO | None = None

    def _open(self) -> None:
        self._file = create_private(self._draft)

    def _close(self) -> None:
        if self._file is None:
            return
        file, self._file = self._file, None
        with file:
            file.write(bytes(2 * TAR_BLOCK))
            sync(file)

    @contextmanager
    def _place(self, path: str, size: int) -> Iterator[BinaryIO]:
        assert self._file is not None
        self._file.write(header(path, size))
        yield self._file
        self._file.write(bytes(-size % TAR_BLOCK))


def writer_for(target: Path) -> BackupWriter:
    """A tar when the name ends in `.tar`, otherwise a folder. Raises BackupError `target_exists`."""
    return TarWriter(target) if target.suffix == ".tar" else FolderWriter(target)


def add_bytes(writer: BackupWriter, path: str, content: bytes) -> None:
    """A part from memory."""
    writer.add(path, BytesIO(content), len(content))
