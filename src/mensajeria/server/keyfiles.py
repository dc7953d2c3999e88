"""The server's secret files: in `<data>/secrets/`, mode 0600, never in the database nor in a dump of it.

Whoever steals a dump of the database cannot even guess passwords with it (the OPAQUE setup is missing), nor read
channel keys (`ck.key`), nor make tokens (`jwt.key`), nor sign heads of the key log (`log.key`).
"""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from opaque_snake import OpaqueServer

from mensajeria.kit.secrets import Secret
from mensajeria.protocol.encoding import H
from mensajeria.server.facts import StateError
from mensajeria.server.findings import Finding

OPAQUE_SETUP: Final = "opaque.setup"
CHANNEL_KEY: Final = "ck.key"
TOKEN_KEY: Final = "jwt.key"  # noqa: S105 - a file's name
LOG_KEY: Final = "log.key"
PREVIOUS: Final = {TOKEN_KEY: "jwt.previous.key", CHANNEL_KEY: "ck.previous.key"}
"""The key before the last rotation, and behind its 32 bytes when that was: milliseconds UTC, 8 bytes big-endian."""
SIZES: Final = {OPAQUE_SETUP: 128, CHANNEL_KEY: 32, TOKEN_KEY: 32, LOG_KEY: 32}


@dataclass(frozen=True, slots=True)
class FormerKey:
    """The key that was replaced at `at_ms`."""

    key: Secret
    at_ms: int


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """The secrets, as raw bytes: the two signing keys are Ed25519 seeds."""

    opaque_setup: Secret
    channel: Secret
    token: Secret
    log: Secret
    former_token: FormerKey | None = None
    former_channel: FormerKey | None = None

    @property
    def fingerprint(self) -> bytes:
        """32 bytes that tell these secrets from others without revealing them, kept by the database.

        Of those that never change: without them nobody could log in, or the key log could not go on. The others rotate.
        """
        return H("server-keys", _public(self.log), H("k", self.opaque_setup.reveal()))


def _public(seed: Secret) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed.reveal()).public_key().public_bytes_raw()


def load_key_files(folder: Path) -> KeyFiles | None:
    """The secrets of `folder`, or None when it does not exist.

    Raises:
        StateError: a file is missing, has the wrong size, or others may read it.
    """
    if not folder.exists():
        return None
    found = {name: _read(folder / name, size) for name, size in SIZES.items()}
    former = {name: _read_former(folder / file) for name, file in PREVIOUS.items()}
    return KeyFiles(
        found[OPAQUE_SETUP],
        found[CHANNEL_KEY],
        found[TOKEN_KEY],
        found[LOG_KEY],
        former[TOKEN_KEY],
        former[CHANNEL_KEY],
    )


def _read_former(path: Path) -> FormerKey | None:
    if not path.exists():
        return None
    content = _read(path, 40).reveal()
    return FormerKey(Secret(content[:32]), int.from_bytes(content[32:], "big"))


def rotate_key_file(folder: Path, name: str, now_ms: int) -> None:
    """Replace TOKEN_KEY or CHANNEL_KEY by a new one; the one before stays beside it. A kill in between harms nothing.

    Raises:
        StateError: the file there is cannot be read.
    """
    old = _read(folder / name, SIZES[name])
    _replace(folder / PREVIOUS[name], old.reveal() + now_ms.to_bytes(8, "big"))
    _replace(folder / name, secrets.token_bytes(SIZES[name]))


def forget_former_key(folder: Path, name: str) -> None:
    """Remove the key before the last rotation."""
    (folder / PREVIOUS[name]).unlink(missing_ok=True)
    _sync_folder(folder)


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    _write(draft, content)
    draft.replace(path)
    _sync_folder(path.parent)


def _read(path: Path, size: int) -> Secret:
    try:
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise StateError(Finding.SECRET_FILE_OPEN(path=path))
        content = path.read_bytes()
    except OSError as error:
        raise StateError(Finding.SECRET_FILE_UNREADABLE(path=path)) from error
    if len(content) != size:
        raise StateError(Finding.SECRET_FILE_DAMAGED(path=path))
    return Secret(content)


def create_key_files(folder: Path) -> KeyFiles:
    """Make new secrets, unless another process does so at this moment and is first: then these are those.

    The folder appears complete or not at all, also when the process is killed meanwhile.
    """
    draft = folder.with_name(f"{folder.name}.new-{secrets.token_hex(6)}")
    draft.mkdir(mode=0o700, parents=True)
    try:
        _fill(draft)
        draft.rename(folder)
    except OSError:
        if not folder.exists():
            raise
    for left in folder.parent.glob(f"{folder.name}.new*"):  # by whoever was killed, or comes too late
        shutil.rmtree(left, ignore_errors=True)
    _sync_folder(folder.parent)
    loaded = load_key_files(folder)
    assert loaded is not None
    return loaded


def _fill(draft: Path) -> None:
    contents = {
        OPAQUE_SETUP: OpaqueServer().export_setup(),
        CHANNEL_KEY: secrets.token_bytes(32),
        TOKEN_KEY: secrets.token_bytes(32),
        LOG_KEY: secrets.token_bytes(32),
    }
    for name, content in contents.items():
        _write(draft / name, content)
    _sync_folder(draft)


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
