"""Why a backup could not be made, is no good, or may not be put back."""

from __future__ import annotations


class BackupError(Exception):
    """Told to the operator. `code` is one of the command line's, `params` fill its sentence and hold no secret."""

    def __init__(self, code: str, **params: object) -> None:
        super().__init__(f"{code} {params}" if params else code)
        self.code = code
        self.params = params


class DamagedError(BackupError):
    """Not a backup, or not whole. `part` is which piece of it, never text of the backup itself."""

    def __init__(self, part: str) -> None:
        super().__init__("server_backup_damaged", part=part)
