"""Copies of own files, encrypted once before they leave: only these are sent, so that a file may change or go away.

A copy is complete and durable before the store knows of it. It is ciphertext: it may lie on the disk. All of this
blocks: not for the loop's thread.
"""

from __future__ import annotations

import contextlib
import io
import mimetypes
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

from mensajeria.client.core.filenames import sent_name
from mensajeria.client.errors import InputError
from mensajeria.client.files import sync_folder
from mensajeria.client.transfer.disk import guarded_profile, require_room
from mensajeria.client.transfer.pictures import Picture, is_picture, prepare
from mensajeria.crypto.files import CHUNK, FileSealer, FileSizeError, Metadata, sealed_size
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import limits

FOLDER: Final = "outgoing"
_SUFFIX: Final = ".sealed"
_BUFFER: Final = 1 << 20
_ANY: Final = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Staged:
    """An encrypted copy, and what the message says of the file."""

    stage: str
    sealed: int
    name: str = field(repr=False)
    media: str
    size: int
    key: Secret
    sha256: bytes
    picture: Picture | None


def stage_name() -> str:
    """A new copy's name: chosen first, so that nobody sweeps it away while it is made."""
    return os.urandom(16).hex() + _SUFFIX


def stage_file(profile: Path, stage: str, path: Path, *, as_image: bool | None) -> Staged:
    """Encrypt a file into the profile's folder.

    Args:
        profile: the profile's folder.
        stage: from `stage_name`.
        path: the file.
        as_image: True: it must be a picture, and is cleaned of what it tells about its maker; False: as it is; None: a
            picture if it begins like one.

    Raises:
        InputError: file_unreadable, not_a_file, file_changed, image_invalid, image_too_large, too_large.
        ProfileError: disk_full, store_failed.
    """
    with _readable(path) as source:
        if as_image is None:
            as_image = is_picture(path)
        if as_image:
            content = io.BytesIO()  # in memory: nothing in the clear on the disk that was not there before
            picture = prepare(path, content)
            size = content.tell()
            content.seek(0)
            return _seal(profile, stage, content, Metadata(sent_name(path.name), picture.media, size), picture)
        size = os.fstat(source.fileno()).st_size
        return _seal(profile, stage, source, Metadata(sent_name(path.name), _media_of(path), size), None)


def _seal(profile: Path, stage: str, content: BinaryIO, metadata: Metadata, picture: Picture | None) -> Staged:
    if metadata.size > limits.FILE_MAX_BYTES:
        raise InputError("too_large")
    sealer = FileSealer(metadata)
    with guarded_profile():
        folder = staging_folder(profile)
        require_room(folder, sealed_size(metadata.size))
        target = folder / stage
        try:
            _write(target, sealer, content)
        except BaseException as error:
            target.unlink(missing_ok=True)
            if isinstance(error, FileSizeError):
                raise InputError("file_changed") from error
            raise
    return Staged(
        stage,
        sealed_size(metadata.size),
        metadata.name,
        metadata.media,
        metadata.size,
        sealer.key,
        sealer.sha256,
        picture,
    )


def _write(target: Path, sealer: FileSealer, content: BinaryIO) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(descriptor, "wb", buffering=_BUFFER) as out:
        for chunk in sealer.seal(_pieces(content)):
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())
    sync_folder(target.parent)


def _pieces(content: BinaryIO) -> Iterator[bytes]:
    """Of exactly the size of a chunk: nothing is copied on the way to the cipher."""
    try:
        yield from iter(partial(content.read, CHUNK), b"")
    except OSError as error:
        raise InputError("file_unreadable", str(error)) from error


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[BinaryIO]:
    """The open file. Never waits for a pipe or a device."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:
        raise InputError("file_unreadable", str(error), params={"name": path.name}) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InputError("not_a_file", params={"name": path.name})
    with os.fdopen(descriptor, "rb") as source:
        yield source


def _media_of(path: Path) -> str:
    """By its name: what a recipient's system would make of it, too."""
    guess = (mimetypes.guess_type(path.name, strict=False)[0] or _ANY).lower()
    return guess if guess.isascii() and len(guess) <= 127 and guess.count("/") == 1 else _ANY  # noqa: PLR2004 - RFC 4288


# --- the folder ---


def staging_folder(profile: Path) -> Path:
    """Where the copies lie, made when missing."""
    folder = profile / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def read_staged(profile: Path, stage: str, offset: int, length: int) -> bytes:
    """A part of a copy. Raises OSError when it is not there (any more)."""
    with (profile / FOLDER / stage).open("rb", buffering=0) as file:
        file.seek(offset)
        data = file.read(length)
    if len(data) != length:
        raise OSError("an encrypted copy is shorter than it was")
    return data


def sweep(profile: Path, needed: frozenset[str]) -> None:
    """Remove the copies that nobody needs: acked, discarded, or left by a crash before the store knew of them."""
    folder = profile / FOLDER
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.name.endswith(_SUFFIX) and path.name not in needed:
            with contextlib.suppress(OSError):
                path.unlink()
