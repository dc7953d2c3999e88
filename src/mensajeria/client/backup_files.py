"""Backup files on behalf of `Client`: the slow work of `full_backup` runs in a thread of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

from mensajeria.client.account_changes import parse_code
from mensajeria.client.errors import InputError
from mensajeria.client.full_backup import BackupFile, filler, restored_info, verify_backup, write_backup
from mensajeria.client.profiles import Opened, new_profile
from mensajeria.client.store import Tx
from mensajeria.crypto.backup_file import FileKey
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.devices import decode_identity
from mensajeria.protocol.ids import Uid


def given_key(passphrase: Secret | None, code: Secret | None) -> FileKey:
    """The key that a person gave: exactly one of the two. Raises InputError."""
    if (passphrase is None) == (code is None):
        raise InputError("weak_password", "a passphrase or the recovery code")
    return FileKey(passphrase, parse_code(code))


async def own_key(opened: Opened, passphrase: Secret | None, code: Secret | None) -> FileKey:
    """As `given_key`; a recovery code must be the account's, or nobody could open the file. Raises InputError."""
    key = given_key(passphrase, code)
    if key.code is not None:

        def authority(tx: Tx) -> bytes | None:
            contact = tx.contacts.get(Uid(bytes.fromhex(opened.profile.info.uid)))
            return None if contact is None else decode_identity(contact.identity).recovery

        if await opened.store.read(authority) != key.code.public:
            raise InputError("recovery_code_invalid")
    return key


async def create(opened: Opened, file: Path, key: FileKey, now_ms: int) -> BackupFile:
    """See `Client.create_backup`."""
    path, info, store_key = opened.profile.store_path, opened.profile.info, opened.vault.key
    return await asyncio.to_thread(write_backup, file, path, store_key, info, key, now_ms, _ignored)


async def verify(file: Path, key: FileKey) -> BackupFile:
    """See `Client.verify_backup`."""
    return (await asyncio.to_thread(verify_backup, file, key, _ignored))[1]


async def restore(file: Path, folder: Path, key: FileKey, passphrase: Secret | None, *, insecure: bool) -> BackupFile:
    """See `Client.restore_backup`: the file is read to its end before anything is made."""
    manifest, told = await asyncio.to_thread(verify_backup, file, key, _ignored)
    fill = filler(file, key, _ignored)
    async with new_profile(folder, passphrase, insecure_key_file=insecure, fill=fill) as opened:
        await asyncio.to_thread(opened.profile.save, restored_info(manifest))
    await opened.close()
    return told


def _ignored(_rows: int) -> None:
    pass
