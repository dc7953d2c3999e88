"""What a person gives: passwords and passphrases (environment, file, or typed without echo), texts, private files."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mensajeria.cli.failure import CommandError, UsageError
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.limits import TEXT_MAX_BYTES

if TYPE_CHECKING:
    from mensajeria.cli.console import Console

_MAX_FILE_BYTES: Final = 4096


def ask_password(console: Console, file: Path | None, *, new: bool) -> Secret:
    """The account's password; asked for twice when it is a new one.

    Raises CommandError.
    """
    found = _given("MENSAJERIA_PASSWORD", file)
    if found is not None:
        return found
    _need_terminal("password_source")
    password = getpass.getpass(console.tr("ask.password"))
    if new and getpass.getpass(console.tr("ask.password_again")) != password:
        raise UsageError("passwords_differ")
    return Secret.from_text(password)


def ask_new_password(console: Console, file: Path | None) -> Secret:
    """The password that replaces the old one: from a file, or typed twice. Raises CommandError."""
    if file is not None:
        return read_secret(file)
    _need_terminal("new_password_source")
    password = getpass.getpass(console.tr("ask.new_password"))
    if getpass.getpass(console.tr("ask.password_again")) != password:
        raise UsageError("passwords_differ")
    return Secret.from_text(password)


def given_code(file: Path | None) -> Secret | None:
    """The recovery code from a file, if one is named. Raises CommandError."""
    return None if file is None else read_secret(file)


def ask_code(console: Console, file: Path | None) -> Secret:
    """The recovery code from a file, or typed: it is shown on paper, not on the screen. Raises CommandError."""
    if file is not None:
        return read_secret(file)
    _need_terminal("code_source")
    return Secret.from_text(getpass.getpass(console.tr("ask.code")))


def ask_reset_code(console: Console, file: Path | None) -> Secret:
    """The code that the operator gave, from a file or typed in. Raises CommandError."""
    if file is not None:
        return read_secret(file)
    _need_terminal("reset_code_source")
    return Secret.from_text(getpass.getpass(console.tr("ask.reset_code")))


def ask_link(console: Console, file: Path | None) -> Secret:
    """The code that another device shows, from a file or typed in. Raises CommandError."""
    if file is not None:
        return read_secret(file)
    _need_terminal("link_source")
    return Secret.from_text(getpass.getpass(console.tr("ask.link")))


def ask_backup_passphrase(console: Console, file: Path | None, *, new: bool) -> Secret:
    """The passphrase of a backup file; asked for twice when the file is made. Raises CommandError."""
    found = _given("MENSAJERIA_BACKUP_PASSPHRASE", file)
    if found is not None:
        return found
    _need_terminal("backup_passphrase_source")
    passphrase = getpass.getpass(console.tr("ask.backup_passphrase"))
    if new and getpass.getpass(console.tr("ask.password_again")) != passphrase:
        raise UsageError("passwords_differ")
    return Secret.from_text(passphrase)


def given_passphrase(file: Path | None) -> Secret | None:
    """The passphrase of the profile's key from a file or MENSAJERIA_PASSPHRASE, if there is one."""
    return _given("MENSAJERIA_PASSPHRASE", file)


def ask_passphrase(console: Console) -> Secret | None:
    """The passphrase typed by the person; None without a terminal."""
    if not sys.stdin.isatty():
        return None
    return Secret.from_text(getpass.getpass(console.tr("ask.passphrase")))


def _given(variable: str, file: Path | None) -> Secret | None:
    if file is not None:
        return read_secret(file)
    return Secret.from_text(os.environ[variable]) if os.environ.get(variable) else None


def read_secret(file: Path) -> Secret:
    """The first line of a file (`-`: of standard input). Raises CommandError."""
    try:
        if str(file) == "-":
            data = sys.stdin.buffer.readline(_MAX_FILE_BYTES + 1)
        else:
            with file.open("rb") as handle:
                data = handle.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError("unreadable_file", path=str(file), reason=error) from error
    line = data.split(b"\n", 1)[0].rstrip(b"\r")
    if len(data) > _MAX_FILE_BYTES or not line:
        raise UsageError("no_secret_in_file", path=str(file))
    try:
        return Secret.from_text(line.decode())
    except UnicodeDecodeError as error:
        raise UsageError("no_secret_in_file", path=str(file)) from error


def _need_terminal(key: str) -> None:
    if not sys.stdin.isatty():
        raise UsageError(key)


def read_text() -> str:
    """The text on standard input, without the line break at its end. Raises CommandError."""
    longest = TEXT_MAX_BYTES + len("\r\n")
    data = sys.stdin.buffer.read(longest + 1)
    if len(data) > longest:
        raise CommandError("too_large")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise UsageError("text_not_utf8") from error
    text = text.removesuffix("\n").removesuffix("\r")
    if len(text.encode()) > TEXT_MAX_BYTES:
        raise CommandError("too_large")
    return text


def write_private(path: Path, text: str) -> None:
    """Write a new file that only this user may read. Raises CommandError if it exists or cannot be written."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
    except FileExistsError as error:
        raise UsageError("file_exists", path=str(path)) from error
    except OSError as error:
        raise UsageError("unwritable_file", path=str(path), reason=error) from error
