"""From a ciphertext that was fetched to the file that the person asked for: nothing unverified gets a final name.

All of this blocks: not for the loop's thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from mensajeria.client.core.filenames import numbered, safe_name
from mensajeria.client.errors import InputError
from mensajeria.client.files import sync_folder
from mensajeria.client.transfer.disk import guarded_profile, guarded_target, require_room
from mensajeria.crypto.files import CHUNK, TAG, Metadata, open_sealed, sealed_size
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.records_files import FileBody

FOLDER: Final = "incoming"
KEEP_PARTS_S: Final = 7 * 24 * 3600
_BUFFER: Final = 1 << 20
_MAX_NUMBER: Final = 1000
_DRAFT: Final = ".mensajeria-part"


def metadata_of(body: FileBody) -> Metadata:
    """What the ciphertext is bound to."""
    return Metadata(body.name, body.media, body.size)


# --- the part: ciphertext in the profile's folder ---


def part_of(profile: Path, body: FileBody) -> Path:
    """Where the ciphertext grows. Its name tells nothing of the file's."""
    folder = profile / FOLDER
    with guarded_profile():
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder / f"{hashlib.sha256(body.blob + body.sha256).hexdigest()[:32]}.part"


def part_size(part: Path, body: FileBody) -> int:
    """How much of it is there. More than there can be is nothing."""
    try:
        size = part.stat().st_size
    except FileNotFoundError:
        return 0
    if size > sealed_size(body.size):
        part.unlink(missing_ok=True)
        return 0
    return size


def append(part: Path, offset: int, data: bytes) -> None:
    """Write the next bytes; what was behind `offset` goes. Raises ProfileError disk_full, store_failed."""
    with guarded_profile():
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
        with os.fdopen(descriptor, "wb", buffering=0) as out:
            out.truncate(offset)
            out.seek(offset)
            view = memoryview(data)
            while view:
                view = view[out.write(view) :]


def check_room(part: Path, have: int, body: FileBody, target: Path) -> None:
    """Ciphertext and file must both fit. Raises ProfileError disk_full before anything is fetched."""
    folder = target if target.is_dir() else target.parent
    missing = sealed_size(body.size) - have
    with guarded_target():
        if folder.stat().st_dev == part.parent.stat().st_dev:
            require_room(folder, missing + body.size)
        else:
            require_room(part.parent, missing)
            require_room(folder, body.size)


def sweep_parts(profile: Path) -> None:
    """Remove parts that nobody went on with for a week."""
    folder, oldest = profile / FOLDER, time.time() - KEEP_PARTS_S
    if not folder.is_dir():
        return
    for path in folder.glob("*.part"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < oldest:
                path.unlink()


# --- the file ---


def check_target(to: Path) -> None:
    """Whether something can be saved there. Raises InputError: target_exists, target_unwritable."""
    with guarded_target():
        if to.is_dir():
            return
        if to.exists() or to.is_symlink():
            raise InputError("target_exists", params={"name": to.name})
        if not to.parent.is_dir():
            raise InputError("target_unwritable", params={"name": str(to.parent)})


def save(sealed: Path, body: FileBody, to: Path) -> Path:
    """Decrypt and verify; the file gets its name when every byte of it is authentic. Where it is then.

    `to`: a folder (the sender's name is made harmless and never replaces a file), or the path of a file that is not
    there yet.

    Raises:
        FileSealError: it is not what the message describes; nothing is left of it.
        InputError, ProfileError: see `check_target`; disk_full.
    """
    folder = to if to.is_dir() else to.parent
    draft = folder / f".{os.urandom(8).hex()}{_DRAFT}"
    with guarded_target():
        try:
            _decrypt(sealed, body, draft)
            return _place(draft, to, body)
        finally:
            draft.unlink(missing_ok=True)


def _decrypt(sealed: Path, body: FileBody, draft: Path) -> None:
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(descriptor, "wb", buffering=_BUFFER) as out, sealed.open("rb") as source:
        pieces: Iterator[bytes] = iter(partial(source.read, CHUNK + TAG), b"")
        for data in open_sealed(pieces, Secret(body.key), metadata_of(body), body.sha256):
            out.write(data)
        out.flush()
        os.fsync(out.fileno())


def _place(draft: Path, to: Path, body: FileBody) -> Path:
    if not to.is_dir():
        if not _took_name(draft, to):
            raise InputError("target_exists", params={"name": to.name})
        return to
    name = safe_name(body.name)
    for number in range(1, _MAX_NUMBER):
        if _took_name(draft, to / numbered(name, number)):
            return to / numbered(name, number)
    raise InputError("target_exists", params={"name": name})


def _took_name(draft: Path, final: Path) -> bool:
    """Give the draft its name unless something has it: a link never replaces a file, as a rename would on Unix."""
    try:
        if os.name == "nt":
            draft.rename(final)
        else:
            os.link(draft, final)
    except FileExistsError:
        return False
    except OSError:
        return _took_name_without_links(draft, final)
    sync_folder(final.parent)
    return True


def _took_name_without_links(draft: Path, final: Path) -> bool:
    """On a disk that has no links (FAT): the name is taken by an empty file first."""
    try:
        os.close(os.open(final, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return False
    draft.replace(final)
    return True
