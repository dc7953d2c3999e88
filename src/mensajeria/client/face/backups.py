"""The key backup on the server, and backup files."""

from __future__ import annotations

from pathlib import Path

from mensajeria.client import backup_files
from mensajeria.client.api import BackupStatus
from mensajeria.client.engine.backup import backup_status
from mensajeria.client.entering import Password, key_file_allowed, optional_secret
from mensajeria.client.face.base import Face
from mensajeria.client.full_backup import BackupFile


class Backups(Face):
    """Copies of what is on this device."""

    async def backup_status(self) -> BackupStatus:
        """How much of this device's keys lies in the account's backup on the server. Works offline."""
        return await backup_status(self._context)

    async def create_backup(
        self, file: Path | str, *, passphrase: Password | None = None, recovery_code: Password | None = None
    ) -> BackupFile:
        """Write everything that can be read on this device into one encrypted file. Works offline; constant memory.

        Raises InputError (backup_exists, weak_password, recovery_code_invalid), ProfileError (store_failed).
        """
        key = await backup_files.own_key(self._opened, optional_secret(passphrase), optional_secret(recovery_code))
        return await backup_files.create(self._opened, Path(file), key, self._running.clock.now_ms())

    @staticmethod
    async def verify_backup(
        file: Path | str, *, passphrase: Password | None = None, recovery_code: Password | None = None
    ) -> BackupFile:
        """Read a backup file to its end and change nothing.

        Raises ProfileError: backup_missing, backup_wrong_key, backup_damaged, backup_newer. InputError.
        """
        key = backup_files.given_key(optional_secret(passphrase), optional_secret(recovery_code))
        return await backup_files.verify(Path(file), key)

    @staticmethod
    async def restore_backup(
        file: Path | str,
        profile: Path | str,
        *,
        backup_passphrase: Password | None = None,
        recovery_code: Password | None = None,
        passphrase: Password | None = None,
        insecure_key_file: bool = False,
    ) -> BackupFile:
        """Make a new profile from a backup file. It can be read at once; its next login adds a new device.

        `passphrase` is that of the new profile. Raises as `verify_backup`, and ProfileError (profile_exists, ...); on
        any error no profile is left behind.
        """
        key = backup_files.given_key(optional_secret(backup_passphrase), optional_secret(recovery_code))
        insecure = insecure_key_file or key_file_allowed()
        return await backup_files.restore(
            Path(file), Path(profile), key, optional_secret(passphrase), insecure=insecure
        )
