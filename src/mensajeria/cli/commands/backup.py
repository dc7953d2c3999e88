"""`mensajeria backup`: how the key backup stands; backup files: make one, check it, make a profile from it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from mensajeria.cli.asking import ask_backup_passphrase, ask_passphrase, given_code, given_passphrase
from mensajeria.cli.display import moment
from mensajeria.cli.exit_codes import Exit
from mensajeria.cli.failure import UsageError
from mensajeria.cli.profile import folder_of, foreseen, opened
from mensajeria.cli.stopping import run_until_stopped
from mensajeria.client import Client, ProfileError

if TYPE_CHECKING:
    import argparse

    from mensajeria.cli.console import Console
    from mensajeria.client.full_backup import BackupFile
    from mensajeria.kit.secrets import Secret


def run(args: argparse.Namespace, console: Console) -> int:
    """Do what was asked for."""
    if (args.action == "status") != (args.file is None):
        raise UsageError("backup_file")
    actions = {"status": _status, "create": _create, "verify": _verify, "restore": _restore}
    with foreseen():
        run_until_stopped(actions[args.action](args, console))
    return Exit.OK


async def _status(args: argparse.Namespace, console: Console) -> None:
    async with opened(args, console) as client:
        with contextlib.suppress(TimeoutError):  # the profile alone can tell the rest
            async with asyncio.timeout(min(args.timeout, 5.0)):
                await client.caught_up()
        status = await client.backup_status()
    if console.as_json:
        console.record(
            type="backup_status",
            version=status.version,
            current=status.current,
            saved=status.saved,
            pending=status.pending,
            restoring=status.restoring,
            used=status.used,
            quota=status.quota,
        )
        return
    console.say("backup.status", saved=status.saved, pending=status.pending, version=status.version)
    if not status.current:
        console.say("backup.keys_missing")
    if status.restoring:
        console.say("backup.restoring")
    if status.used is not None and status.quota is not None:
        console.say("backup.use", used=status.used >> 10, quota=status.quota >> 20)


async def _create(args: argparse.Namespace, console: Console) -> None:
    async with opened(args, console, offline=True) as client:
        told = await client.create_backup(args.file, **_key(args, console, new=True))
    _show(told, args, console, "backup.created")


async def _verify(args: argparse.Namespace, console: Console) -> None:
    _show(await Client.verify_backup(args.file, **_key(args, console, new=False)), args, console, "backup.verified")


async def _restore(args: argparse.Namespace, console: Console) -> None:
    given = _key(args, console, new=False)

    async def restore(passphrase: Secret | None) -> BackupFile:
        return await Client.restore_backup(
            args.file,
            folder_of(args),
            backup_passphrase=given.get("passphrase"),
            recovery_code=given.get("recovery_code"),
            passphrase=passphrase,
        )

    try:
        told = await restore(given_passphrase(args.passphrase_file))
    except ProfileError as error:
        if error.code != "passphrase_needed" or (typed := ask_passphrase(console)) is None:
            raise
        told = await restore(typed)
    _show(told, args, console, "backup.restored")


def _key(args: argparse.Namespace, console: Console, *, new: bool) -> dict[str, Any]:
    """What opens the file: the recovery code if its file is named, else a passphrase."""
    code = given_code(args.code_file)
    if code is not None:
        return {"recovery_code": code}
    return {"passphrase": ask_backup_passphrase(console, args.backup_passphrase_file, new=new)}


def _show(told: BackupFile, args: argparse.Namespace, console: Console, key: str) -> None:
    if console.as_json:
        console.record(
            type="backup_file",
            action=args.action,
            file=str(args.file),
            handle=told.handle,
            server=told.server_url,
            created_ms=told.created_ms,
            chats=told.chats,
            messages=told.messages,
            size=told.size,
        )
        return
    console.say(
        key,
        file=str(args.file),
        handle=told.handle,
        when=moment(told.created_ms),
        chats=told.chats,
        messages=told.messages,
        profile=str(folder_of(args)),
    )
