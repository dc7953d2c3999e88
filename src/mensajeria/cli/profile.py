"""What the client's commands share: the profile's folder and key, the chat that is meant, the client's errors."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final

from mensajeria.cli.asking import ask_passphrase, given_passphrase
from mensajeria.cli.failure import CommandError
from mensajeria.client import Client, ClientError, ProfileError
from mensajeria.client.finding import find_chat
from mensajeria.desktop.app.paths import default_profile

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from mensajeria.cli.console import Console
    from mensajeria.client import Chat

_CHAT_ID: Final = re.compile(r"[0-9a-fA-F]{64}")


def folder_of(args: argparse.Namespace) -> Path:
    """The profile's folder."""
    folder: Path = args.profile or default_profile()
    return folder


@contextmanager
def foreseen() -> Iterator[None]:
    """Turn the client's errors into CommandError."""
    try:
        yield
    except ClientError as error:
        raise CommandError(str(error.code), {"detail": error.detail, **error.params}) from error


@asynccontextmanager
async def opened(
    args: argparse.Namespace, console: Console, *, offline: bool = False, code_wanted: bool = False
) -> AsyncIterator[Client]:
    """The profile's client, connecting unless `offline`. Raises ClientError.

    Says that there is a recovery code that nobody has seen, unless that is what is wanted (`code_wanted`).
    """
    client = await _open(args, console, offline=offline)
    async with client:
        if client.recovery_code is not None and not code_wanted:
            console.warn(console.tr("account.recovery_waits"))
        yield client


async def _open(args: argparse.Namespace, console: Console, *, offline: bool) -> Client:
    folder, passphrase = folder_of(args), given_passphrase(args.passphrase_file)
    try:
        return await Client.open(folder, passphrase=passphrase, ca_file=args.ca_file, offline=offline)
    except ProfileError as error:
        if error.code != "passphrase_needed" or (typed := ask_passphrase(console)) is None:
            raise
        return await Client.open(folder, passphrase=typed, ca_file=args.ca_file, offline=offline)


def is_chat_id(name: str) -> bool:
    """Whether this is a chat's id and not a user's name (which has 32 characters at most)."""
    return _CHAT_ID.fullmatch(name) is not None


async def chat_of(client: Client, name: str, *, to_write: bool = False) -> Chat:
    """The chat that a person means: by its id, by its user or by a group's name. Raises ClientError.

    `to_write`: whose account is gone is not meant, but who has the name now.
    """
    if is_chat_id(name):
        return client.chat(bytes.fromhex(name))
    view = find_chat(await client.chats(), name)
    if view is not None and not (to_write and view.gone):  # known here: works offline
        return client.chat(view.chat_id)
    return await client.direct_chat(name.strip().lower().removeprefix("@"))
