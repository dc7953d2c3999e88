"""`mensajeria password`, `renew-identity`, `logout`, `delete-account`: what the owner does with the account."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mensajeria.cli.asking import ask_code, ask_new_password, ask_password, given_code
from mensajeria.cli.exit_codes import Exit
from mensajeria.cli.failure import CommandError, UsageError
from mensajeria.cli.profile import foreseen, opened
from mensajeria.cli.stopping import run_until_stopped

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable

    from mensajeria.cli.console import Console
    from mensajeria.client import Client


def run(args: argparse.Namespace, console: Console) -> int:
    """Do what was asked for."""
    commands = {
        "password": _password,
        "renew-identity": _renew_identity,
        "logout": _logout,
        "delete-account": _delete,
    }
    with foreseen():
        run_until_stopped(commands[args.command](args, console))
    return Exit.OK


async def _password(args: argparse.Namespace, console: Console) -> None:
    old = ask_password(console, args.password_file, new=False)
    new = ask_new_password(console, args.new_password_file)
    code = given_code(args.code_file)
    await _with_client(args, console, lambda client: client.change_password(old, new, recovery_code=code))
    _say(console, "password_changed", "ownership.password_changed")


async def _renew_identity(args: argparse.Namespace, console: Console) -> None:
    old = ask_password(console, args.password_file, new=False)
    new = ask_new_password(console, args.new_password_file)
    code = ask_code(console, args.code_file)
    await _with_client(args, console, lambda client: client.renew_identity(old, new, code))
    _say(console, "identity_renewed", "ownership.identity_renewed")


async def _logout(args: argparse.Namespace, console: Console) -> None:
    await _with_client(args, console, lambda client: client.log_out(everywhere=args.everywhere, erase=args.erase))
    kind = "profile_erased" if args.erase else "logged_out_everywhere" if args.everywhere else "logged_out"
    _say(console, kind, f"ownership.{kind}")


async def _delete(args: argparse.Namespace, console: Console) -> None:
    async def delete(client: Client) -> None:
        if args.confirm.removeprefix("@").lower() != client.me.handle:
            raise UsageError("confirm_name", name=client.me.handle)
        password = ask_password(console, args.password_file, new=False)
        await client.delete_account(password, recovery_code=given_code(args.code_file))

    await _with_client(args, console, delete)
    _say(console, "account_deleted", "ownership.deleted")


async def _with_client(args: argparse.Namespace, console: Console, work: Callable[[Client], Awaitable[None]]) -> None:
    try:
        async with asyncio.timeout(args.timeout), opened(args, console, offline=True) as client:
            await work(client)
    except TimeoutError as error:
        raise CommandError("timeout") from error


def _say(console: Console, kind: str, key: str) -> None:
    if console.as_json:
        console.record(type=kind)
    else:
        console.say(key)
