"""What a backup says of itself: `manifest.json`, canonical JSON, read as if somebody hostile had written it.

Its hashes find damage. They prove nothing about who made it: whoever can write a backup can write its manifest.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Annotated, Final, Literal

import msgspec

from mensajeria.server.admin.backups.errors import BackupError, DamagedError
from mensajeria.server.keyfiles import PREVIOUS, SIZES

FORMAT: Final = 1
NAME: Final = "manifest.json"
MAX_PARTS: Final = 1_000_000
MAX_BYTES: Final = 256 << 20
SQLITE_PART: Final = "database.sqlite3"
POSTGRES_PART: Final = "database.pgdump"
DATABASES: Final = {"sqlite": SQLITE_PART, "postgresql": POSTGRES_PART}
SECRETS: Final = frozenset({*SIZES, *PREVIOUS.values()})
_FILE: Final = re.compile(r"files/([0-9a-f]{2})/\1[0-9a-f]{30}")

Number = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
Kind = Literal["sqlite", "postgresql"]
Files = Literal["folder", "bucket"]


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of the backup; `path` is one of the few that `is_part` knows."""

    path: Annotated[str, msgspec.Meta(max_length=80)]
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    size: Number


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`restore_epoch` is the server's when the backup was made. `files`: "bucket" ones are not in the backup.

    `keys`: the fingerprint of the secrets that the database needs, in the backup or not.
    """

    created_ms: Number
    database: Kind
    files: Files
    format: Annotated[int, msgspec.Meta(ge=FORMAT, le=FORMAT)] = FORMAT
    keys: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    kind: Literal["mensajeria-server-backup"] = "mensajeria-server-backup"
    parts: Annotated[tuple[Part, ...], msgspec.Meta(max_length=MAX_PARTS)]
    program: Annotated[str, msgspec.Meta(max_length=40)]
    restore_epoch: Number
    schema: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-z]{1,32}\Z")]
    secrets: bool
    server_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]


class _Versioned(msgspec.Struct):
    format: int
    kind: Literal["mensajeria-server-backup"]


_versioned: Final = msgspec.json.Decoder(_Versioned)
_decoder: Final = msgspec.json.Decoder(Manifest)


def is_part(path: str) -> bool:
    """Whether a backup may have a file of this name: none of them leads out of it."""
    if path in DATABASES.values():
        return True
    folder, _, name = path.partition("/")
    return (folder == "secrets" and name in SECRETS) or _FILE.fullmatch(path) is not None


def file_path(file_id: bytes) -> str:
    """The path of an uploaded file's part."""
    name = file_id.hex()
    return f"files/{name[:2]}/{name}"


def encode(manifest: Manifest) -> bytes:
    """The one form of these values, with a line's end."""
    return msgspec.json.encode(manifest, order="sorted") + b"\n"


def decode(data: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        BackupError: DamagedError, or `server_backup_newer`.
    """
    if len(data) > MAX_BYTES:
        raise DamagedError(NAME)
    try:
        if _versioned.decode(data).format > FORMAT:
            raise BackupError("server_backup_newer")
        manifest = _decoder.decode(data)
        is_canonical = encode(manifest) == data
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise DamagedError(NAME) from error
    if not (is_canonical and _is_coherent(manifest)):
        raise DamagedError(NAME)
    return manifest


def _is_coherent(manifest: Manifest) -> bool:
    """Every part may be there, once, in order; the database is; the secrets are all there or none is."""
    paths = [part.path for part in manifest.parts]
    databases = [path for path in paths if path in DATABASES.values()]
    secrets = {path.partition("/")[2] for path in paths if path.startswith("secrets/")}
    has_files = any(path.startswith("files/") for path in paths)
    return (
        all(map(is_part, paths))
        and all(one < other for one, other in pairwise(paths))
        and databases == [DATABASES[manifest.database]]
        and (secrets >= SIZES.keys() if manifest.secrets else not secrets)
        and (manifest.files == "folder" or not has_files)
    )
