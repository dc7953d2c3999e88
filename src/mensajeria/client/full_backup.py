"""Backup files: everything that a person can read on this device in one encrypted file, and new profiles made from it.

Inside the stream of `crypto.backup_file`: records of u32 length ‖ msgpack. First a manifest, then for each table
["table", name, columns] and its ["row", values], last ["end", rows]. It holds messages, chats, contacts and received
sessions; never device keys, pairwise or outbound sessions, tokens or what is still queued. A profile made from a file
can be read at once and has no device: its next login adds one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final, TypeVar

import msgspec
from sqlcipher3 import dbapi2

from mensajeria.client.errors import InputError, ProfileError
from mensajeria.client.files import sync_folder
from mensajeria.client.profile import ProfileInfo
from mensajeria.client.store.copy import KEPT, Importer, Values, export_rows
from mensajeria.client.store.schema import VERSION as SCHEMA
from mensajeria.crypto.backup_file import (
    BackupFileError,
    BackupFileWriter,
    FileKey,
    Method,
    NewerBackupFileError,
    WrongBackupKeyError,
    method_of,
    read_chunks,
)
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import limits

MAX_RECORD: Final = 8 << 20
_LENGTH: Final = 4
T = TypeVar("T")
_Hex16 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whose backup it is; `schema` = the version of the store's tables."""

    schema: Annotated[int, msgspec.Meta(ge=1)]
    created_ms: Annotated[int, msgspec.Meta(ge=0)]
    server_url: Annotated[str, msgspec.Meta(min_length=1, max_length=2048)]
    server_id: _Hex16
    uid: _Hex16
    handle: Annotated[str, msgspec.Meta(pattern=limits.HANDLE_PATTERN)]


class _Table(msgspec.Struct, frozen=True, array_like=True, tag="table", forbid_unknown_fields=True):
    name: str
    columns: tuple[str, ...]


class _Row(msgspec.Struct, frozen=True, array_like=True, tag="row", forbid_unknown_fields=True):
    values: tuple[Any, ...]
    """What SQLite stores: int, float, str, bytes or None; the importer looks."""


class _End(msgspec.Struct, frozen=True, array_like=True, tag="end", forbid_unknown_fields=True):
    rows: int


_manifests: Final = msgspec.msgpack.Decoder(Manifest)
_records: Final = msgspec.msgpack.Decoder(_Table | _Row | _End)


@dataclass(frozen=True, slots=True)
class BackupFile:
    """A file that was written or read to its end."""

    handle: str
    server_url: str
    created_ms: int
    chats: int
    messages: int
    size: int
    """Bytes of the file."""


Progress = Callable[[int], None]
"""Called with the number of rows so far, now and then, in the thread that works."""
_EVERY: Final = 5000


# --- writing; blocks: not for the loop's thread ---


def write_backup(
    target: Path, store: Path, store_key: Secret, info: ProfileInfo, key: FileKey, now_ms: int, progress: Progress
) -> BackupFile:
    """Write a file whole or not at all; an existing one is not replaced.

    Raises InputError (backup_exists, empty passphrase: weak_password), ProfileError (store_failed).
    """
    if target.exists():
        raise InputError("backup_exists", str(target))
    manifest = Manifest(
        schema=SCHEMA,
        created_ms=now_ms,
        server_url=info.server_url,
        server_id=info.server_id,
        uid=info.uid,
        handle=info.handle,
    )
    draft = target.with_name(target.name + ".part")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            counts = _write(file, store, store_key, manifest, key, progress)
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        draft.rename(target)
        sync_folder(target.resolve().parent)
    except (OSError, dbapi2.Error) as error:
        raise ProfileError("store_failed", str(error)) from error
    finally:
        draft.unlink(missing_ok=True)
    return _told(manifest, counts, size)


def _write(
    file: BinaryIO, store: Path, store_key: Secret, manifest: Manifest, key: FileKey, progress: Progress
) -> dict[str, int]:
    try:
        writer = BackupFileWriter(file, key)
    except ValueError as error:
        raise InputError("weak_password", str(error)) from error
    counts = dict.fromkeys(KEPT, 0)
    total = 0
    _put(writer, manifest)
    for table, columns, rows in export_rows(store, store_key):
        _put(writer, _Table(table, columns))
        for values in rows:
            _put(writer, _Row(values))
            counts[table] += 1
            total += 1
            if total % _EVERY == 0:
                progress(total)
    _put(writer, _End(total))
    writer.finish()
    return counts


def _put(writer: BackupFileWriter, record: msgspec.Struct) -> None:
    data = msgspec.msgpack.encode(record)
    writer.write(len(data).to_bytes(_LENGTH, "big") + data)


# --- reading; blocks ---


def file_method(source: Path) -> Method:
    """What opens a file. Raises as `verify_backup`."""
    with _opened(source) as file:
        return _translated(lambda: method_of(file))


def verify_backup(source: Path, key: FileKey, progress: Progress) -> tuple[Manifest, BackupFile]:
    """Read a file to its end: every byte is authenticated, every record looked at. Changes nothing.

    Raises ProfileError: backup_missing, backup_wrong_key, backup_damaged, backup_newer, store_failed.
    """
    counts = dict.fromkeys(KEPT, 0)
    table = ""
    with _opened(source) as file:
        records = _records_of(file, key)
        manifest = next(records)
        assert isinstance(manifest, Manifest)
        for number, record in enumerate(records):
            if isinstance(record, _Table):
                table = record.name
            elif isinstance(record, _Row) and table in counts:
                counts[table] += 1
            if number % _EVERY == 0:
                progress(number)
        return manifest, _told(manifest, counts, file.tell())


def filler(source: Path, key: FileKey, progress: Progress) -> Callable[[dbapi2.Connection], None]:
    """What puts a verified file's rows into a new store. Raises as `verify_backup`."""

    def fill(connection: dbapi2.Connection) -> None:
        importer = Importer(connection)
        with _opened(source) as file:
            for number, record in enumerate(_records_of(file, key)):
                try:
                    if isinstance(record, _Table):
                        importer.table(record.name, record.columns)
                    elif isinstance(record, _Row):
                        importer.row(record.values)
                except ValueError as error:
                    raise ProfileError("backup_damaged", str(error)) from error
                if number % _EVERY == 0:
                    progress(number)
        importer.finish()

    return fill


def _opened(source: Path) -> BinaryIO:
    try:
        return source.open("rb")
    except FileNotFoundError as error:
        raise ProfileError("backup_missing", str(source)) from error
    except OSError as error:
        raise ProfileError("store_failed", str(error)) from error


def _records_of(file: BinaryIO, key: FileKey) -> Iterator[Manifest | _Table | _Row | _End]:
    """The manifest, then every record; complete, or an error."""
    rows, ended, first = 0, False, True
    for data in _framed(_chunks(file, key)):
        if ended:
            raise ProfileError("backup_damaged", "something follows the end")
        try:
            record: Any = _manifests.decode(data) if first else _records.decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise ProfileError("backup_damaged", "a malformed record") from error
        if first and record.schema > SCHEMA:
            raise ProfileError("backup_newer", f"tables of version {record.schema}")
        if first and record.schema < SCHEMA:
            raise ProfileError("backup_damaged", "tables of a version that never left development")
        first = False
        rows += isinstance(record, _Row)
        if isinstance(record, _End):
            ended = True
            if record.rows != rows:
                raise ProfileError("backup_damaged", "rows are missing")
        yield record
    if not ended:
        raise ProfileError("backup_damaged", "the end is missing")


def _framed(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Records from a stream of chunks, in bounded memory."""
    waiting = bytearray()
    for chunk in chunks:
        waiting += chunk
        start = 0
        while len(waiting) - start >= _LENGTH:
            length = int.from_bytes(waiting[start : start + _LENGTH], "big")
            if length > MAX_RECORD:
                raise ProfileError("backup_damaged", "a record that is too large")
            if len(waiting) - start - _LENGTH < length:
                break
            yield bytes(waiting[start + _LENGTH : start + _LENGTH + length])
            start += _LENGTH + length
        del waiting[:start]
    if waiting:
        raise ProfileError("backup_damaged", "half a record")


def _chunks(file: BinaryIO, key: FileKey) -> Iterator[bytes]:
    chunks = read_chunks(file, key)
    while True:
        chunk = _translated(lambda: next(chunks, None))
        if chunk is None:
            return
        yield chunk


def _translated(work: Callable[[], T]) -> T:
    try:
        return work()
    except WrongBackupKeyError as error:
        raise ProfileError("backup_wrong_key", str(error)) from error
    except NewerBackupFileError as error:
        raise ProfileError("backup_newer", str(error)) from error
    except BackupFileError as error:
        raise ProfileError("backup_damaged", str(error)) from error
    except OSError as error:
        raise ProfileError("store_failed", str(error)) from error


def _told(manifest: Manifest, counts: dict[str, int], size: int) -> BackupFile:
    return BackupFile(
        manifest.handle, manifest.server_url, manifest.created_ms, counts["chats"], counts["messages"], size
    )


def restored_info(manifest: Manifest) -> ProfileInfo:
    """`profile.json` of a profile made from a file: of no device yet."""
    return ProfileInfo(
        server_url=manifest.server_url,
        server_id=manifest.server_id,
        uid=manifest.uid,
        did=os.urandom(16).hex(),
        handle=manifest.handle,
    )


__all__ = [
    "BackupFile",
    "FileKey",
    "Manifest",
    "Method",
    "Values",
    "file_method",
    "filler",
    "restored_info",
    "verify_backup",
    "write_backup",
]
