"""What the server tells its operator: a code and what belongs into its sentence, never the sentence itself.

The command line has one for each code, in every language (`cli.finding.<code>` of the catalogues); scripts read code
and parameters (`--json`). A code is never renamed, and no parameter ever holds a secret.
"""

from __future__ import annotations

import errno
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final


class Finding(StrEnum):
    """The closed list. `Finding.DATABASE_ANSWERS(kind="sqlite")` is what was found."""

    # What `admin doctor` looks at, with what errors say about the same.
    DATA_FOLDER_GOOD = "data_folder_good"
    DATA_FOLDER_MISSING = "data_folder_missing"
    DATA_FOLDER_OPEN = "data_folder_open"
    DATA_FOLDER_READ_ONLY = "data_folder_read_only"
    DISK_GOOD = "disk_good"
    DISK_LOW = "disk_low"
    DISK_FULL = "disk_full"
    DATABASE_GOOD = "database_good"
    DATABASE_NARROW = "database_narrow"
    DATABASE_MISSING = "database_missing"
    DATABASE_IN_USE = "database_in_use"
    DATABASE_SILENT = "database_silent"
    DATABASE_FAILED = "database_failed"
    SCHEMA_GOOD = "schema_good"
    SCHEMA_MISSING = "schema_missing"
    SCHEMA_OLD = "schema_old"
    SCHEMA_UNKNOWN = "schema_unknown"
    IDENTITY_GOOD = "identity_good"
    IDENTITY_MISSING = "identity_missing"
    IDENTITY_DAMAGED = "identity_damaged"
    CLOCK_GOOD = "clock_good"
    CLOCK_ALONE = "clock_alone"
    CLOCK_BEHIND = "clock_behind"
    CLOCK_APART = "clock_apart"
    CLOCK_SILENT = "clock_silent"
    BACKUP_GOOD = "backup_good"
    BACKUP_OLD = "backup_old"
    BACKUP_NONE = "backup_none"
    SECRETS_GOOD = "secrets_good"
    SECRETS_MISSING = "secrets_missing"
    SECRETS_LOST = "secrets_lost"
    SECRETS_FOREIGN = "secrets_foreign"
    SECRETS_OPEN = "secrets_open"
    SECRET_FILE_OPEN = "secret_file_open"  # noqa: S105 - a code
    SECRET_FILE_UNREADABLE = "secret_file_unreadable"  # noqa: S105 - a code
    SECRET_FILE_DAMAGED = "secret_file_damaged"  # noqa: S105 - a code
    REDIS_GOOD = "redis_good"
    REDIS_OLD = "redis_old"
    REDIS_SILENT = "redis_silent"
    BUCKET_GOOD = "bucket_good"
    BUCKET_REFUSES = "bucket_refuses"
    BUCKET_SILENT = "bucket_silent"
    BUCKET_NOT_INSTALLED = "bucket_not_installed"
    ADDRESS_GOOD = "address_good"
    ADDRESS_UNSET = "address_unset"
    ADDRESS_SILENT = "address_silent"
    ADDRESS_FOREIGN = "address_foreign"

    # Settings.
    SETTING_UNKNOWN = "setting_unknown"
    SETTING_MISSPELT = "setting_misspelt"
    SETTING_TWICE = "setting_twice"
    SETTING_FILE_UNREADABLE = "setting_file_unreadable"
    SETTING_INVALID = "setting_invalid"
    SETTING_NO_NUMBER = "setting_no_number"
    SETTING_NO_SWITCH = "setting_no_switch"
    SETTING_NO_CHOICE = "setting_no_choice"
    SETTING_NO_URL = "setting_no_url"
    SETTING_NO_ORIGIN = "setting_no_origin"
    SETTING_NO_NETWORK = "setting_no_network"
    SETTING_NO_DATABASE = "setting_no_database"
    SETTING_NO_REDIS = "setting_no_redis"
    SETTING_TOO_SMALL = "setting_too_small"
    SETTING_TOO_LARGE = "setting_too_large"
    SETTING_TOO_SHORT = "setting_too_short"
    SETTING_TOO_LONG = "setting_too_long"
    SETTING_NEEDS_TOKEN = "setting_needs_token"  # noqa: S105 - a code
    SETTING_NEEDS_POSTGRES = "setting_needs_postgres"
    SETTING_NEEDS_REDIS = "setting_needs_redis"

    # Starting, rotating keys, backing up and putting back.
    LISTEN_TAKEN = "listen_taken"
    LISTEN_FORBIDDEN = "listen_forbidden"
    LISTEN_ELSEWHERE = "listen_elsewhere"
    LISTEN_FAILED = "listen_failed"
    WORKER_FAILED = "worker_failed"
    START_FAILED = "start_failed"
    TRACES_NOT_INSTALLED = "traces_not_installed"
    KEYS_JUST_ROTATED = "keys_just_rotated"
    BACKUP_KEYS_ROTATED = "backup_keys_rotated"
    BACKUP_NO_SECRETS_HERE = "backup_no_secrets_here"
    BACKUP_DATABASE_OPTION = "backup_database_option"
    BACKUP_OTHER_DATABASE = "backup_other_database"
    BACKUP_FILES_IN_BUCKET = "backup_files_in_bucket"
    BACKUP_FILES_IN_FOLDER = "backup_files_in_folder"
    BACKUP_WITHOUT_SECRETS = "backup_without_secrets"
    BACKUP_OTHER_SECRETS = "backup_other_secrets"

    # What the system refused.
    DATABASE_UNREACHABLE = "database_unreachable"
    SYSTEM_ADDRESS_TAKEN = "system_address_taken"
    SYSTEM_FORBIDS = "system_forbids"
    SYSTEM_MISSES = "system_misses"
    SYSTEM_FULL = "system_full"
    SYSTEM_READ_ONLY = "system_read_only"
    SYSTEM_NO_FOLDER = "system_no_folder"
    SYSTEM_FAILED = "system_failed"

    def __call__(self, **params: str | int | Path) -> Found:
        """This, found with the parameters of its sentence."""
        return Found(self, {name: str(value) if isinstance(value, Path) else value for name, value in params.items()})


@dataclass(frozen=True, slots=True)
class Found:
    """A finding with its parameters."""

    code: Finding
    params: Mapping[str, str | int] = field(default_factory=dict)

    def __str__(self) -> str:
        """For tracebacks and logs."""
        told = ", ".join(f"{name}={value}" for name, value in self.params.items())
        return f"{self.code} ({told})" if told else str(self.code)


class OperatorError(Exception):
    """What only the operator can mend, or wait for: `findings` say what, and hold no secret."""

    def __init__(self, *findings: Found) -> None:
        super().__init__(*findings)
        self.findings: Final = findings

    def __str__(self) -> str:
        """For tracebacks and logs."""
        return "; ".join(map(str, self.findings))


_SYSTEM: Final = {
    errno.EACCES: Finding.SYSTEM_FORBIDS,
    errno.EPERM: Finding.SYSTEM_FORBIDS,
    errno.ENOENT: Finding.SYSTEM_MISSES,
    errno.ENOSPC: Finding.SYSTEM_FULL,
    errno.EDQUOT: Finding.SYSTEM_FULL,
    errno.EROFS: Finding.SYSTEM_READ_ONLY,
    errno.EEXIST: Finding.SYSTEM_NO_FOLDER,
    errno.ENOTDIR: Finding.SYSTEM_NO_FOLDER,
    errno.EADDRINUSE: Finding.SYSTEM_ADDRESS_TAKEN,
}
_LOST: Final = (ConnectionError, TimeoutError, socket.gaierror, ssl.SSLError)
_AWAY: Final = (errno.ECONNREFUSED, errno.ECONNRESET, errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH)
_NUMBER: Final = re.compile(r"\[Errno ([0-9]{1,5})\]")
"""In the text of asyncio's one error for all addresses of a host, which has no number of its own."""


def of_system(error: OSError) -> Found:
    """What the operating system refused. Its kind alone is told: the text may hold a URL with a password."""
    number = _number(error)
    if number in _AWAY or isinstance(error, _LOST):  # connected to is the database alone
        return Finding.DATABASE_UNREACHABLE(cause=cause_of(error))
    if number in _SYSTEM:
        return _SYSTEM[number]()
    return Finding.SYSTEM_FAILED(cause=cause_of(error))


def cause_of(error: BaseException) -> str:
    """The name of an error of others, to look up: the system's (`EIO`), SQLite's, else that of the exception's class.

    Of what SQLAlchemy raises it is the driver's: `InvalidPasswordError` helps, `DBAPIError` does not.
    """
    of_driver = getattr(error, "orig", None)
    if isinstance(of_driver, Exception):
        return cause_of(of_driver.__cause__ or of_driver)
    number = _number(error) if isinstance(error, OSError) else 0
    name: str = getattr(error, "sqlite_errorname", type(error).__name__)
    return errno.errorcode.get(number, name)


def _number(error: OSError) -> int:
    if isinstance(error, ssl.SSLError):  # a numbering of its own
        return 0
    if error.errno is not None:
        return error.errno
    named = _NUMBER.search(str(error))
    return int(named[1]) if named else 0
