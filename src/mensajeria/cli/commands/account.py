"""`mensajeria register`, `login`, `link`, `recover`, `reset-identity` and `recovery-code`."""

from __future__ import annotations

import asyncio
import platform
from typing import TYPE_CHECKING

from mensajeria.cli.asking import (
    ask_code,
    ask_link,
    ask_passphrase,
    ask_password,
    ask_reset_code,
    given_passphrase,
    write_private,
)
from mensajeria.cli.exit_codes import Exit
from mensajeria.cli.failure import CommandError, UsageError
from mensajeria.cli.profile import folder_of, foreseen, opened
from mensajeria.cli.restoring import show_restore
from mensajeria.cli.stopping import run_until_stopped
from mensajeria.client import Client, ProfileError
from mensajeria.client.invitation import server_of_invite

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable

    from mensajeria.cli.console import Console
    from mensajeria.kit.secrets import Secret


def run(args: argparse.Namespace, console: Console) -> int:
    """Create an account or log in, with the profile as this device."""
    commands = {
        "register": _register,
        "login": _login,
        "recover": _recover,
        "reset-identity": _reset_identity,
        "link": _link,
        "recovery-code": _recovery_code,
    }
    with foreseen():
        run_until_stopped(commands[args.command](args, console))
    return Exit.OK


async def _register(args: argparse.Namespace, console: Console) -> None:
    _require_new_file(args)
    server = _server_of(args)
    password = ask_password(console, args.password_file, new=True)
    client = await _with_passphrase(
        args,
        console,
        lambda passphrase: Client.register(
            server,
            args.username,
            password,
            profile=folder_of(args),
            invite=args.invite,
            device_name=args.device_name or platform.node(),
            passphrase=passphrase,
            ca_file=args.ca_file,
            insecure_http=args.insecure_http,
        ),
    )
    async with client:
        await _hand_over(client, args, console, "account.registered")


def _require_new_file(args: argparse.Namespace) -> None:
    """Before an account is made whose code would be lost."""
    if args.recovery_file is not None and args.recovery_file.exists():
        raise UsageError("file_exists", path=str(args.recovery_file))


def _server_of(args: argparse.Namespace) -> str:
    """Where to register: said, or named by the invite's link."""
    found: str | None = args.server or (None if args.invite is None else server_of_invite(args.invite))
    if found is None:
        raise UsageError("required", what="--server")
    return found


async def _login(args: argparse.Namespace, console: Console) -> None:
    if args.server is None or args.username is None:
        await _login_again(args, console)
        return
    password = ask_password(console, args.password_file, new=False)
    client = await _with_passphrase(
        args,
        console,
        lambda passphrase: Client.login(
            args.server,
            args.username,
            password,
            profile=folder_of(args),
            device_name=args.device_name or platform.node(),
            passphrase=passphrase,
            ca_file=args.ca_file,
            insecure_http=args.insecure_http,
        ),
    )
    async with client:
        _show_account(client, args, console, "account.logged_in", None)
        if client.recovery_code is not None:  # its `register` was killed, or did not get the answer
            console.warn(console.tr("account.recovery_waits"))
        await show_restore(client, console)


async def _recover(args: argparse.Namespace, console: Console) -> None:
    code = ask_code(console, args.code_file)
    password = ask_password(console, args.password_file, new=True)
    client = await _with_passphrase(
        args,
        console,
        lambda passphrase: Client.recover(
            args.server,
            args.username,
            code,
            password,
            profile=folder_of(args),
            device_name=args.device_name or platform.node(),
            passphrase=passphrase,
            ca_file=args.ca_file,
            insecure_http=args.insecure_http,
        ),
    )
    async with client:
        _show_account(client, args, console, "account.recovered", None)
        await show_restore(client, console)


async def _reset_identity(args: argparse.Namespace, console: Console) -> None:
    _require_new_file(args)
    code = ask_reset_code(console, args.reset_code_file)
    password = ask_password(console, args.password_file, new=True)
    client = await _with_passphrase(
        args,
        console,
        lambda passphrase: Client.reset_identity(
            args.server,
            args.username,
            code,
            password,
            profile=folder_of(args),
            device_name=args.device_name or platform.node(),
            passphrase=passphrase,
            ca_file=args.ca_file,
            insecure_http=args.insecure_http,
        ),
    )
    async with client:
        await _hand_over(client, args, console, "account.identity_reset")
        await client.caught_up()  # so that the chats hear of it


async def _recovery_code(args: argparse.Namespace, console: Console) -> None:
    """The code that a killed `register` or `reset-identity` did not get to show."""
    _require_new_file(args)
    async with opened(args, console, offline=True, code_wanted=True) as client:
        if client.recovery_code is None:
            raise CommandError("recovery_code_unknown")
        await _hand_over(client, args, console, "account.yours")


async def _hand_over(client: Client, args: argparse.Namespace, console: Console, key: str) -> None:
    """Show the account with its recovery code, or write that to its file; only then it is forgotten here."""
    _show_account(client, args, console, key, _keep_recovery_code(client, args, console))
    await client.recovery_code_saved()


async def _link(args: argparse.Namespace, console: Console) -> None:
    code = ask_link(console, args.link_file)
    password = ask_password(console, args.password_file, new=False)
    client = await _with_passphrase(
        args,
        console,
        lambda passphrase: Client.link(
            code,
            password,
            profile=folder_of(args),
            device_name=args.device_name or platform.node(),
            passphrase=passphrase,
            ca_file=args.ca_file,
            insecure_http=args.insecure_http,
        ),
    )
    async with client:
        try:
            async with asyncio.timeout(args.timeout):
                await client.linked()
        except TimeoutError as error:
            raise CommandError("timeout") from error
        _show_account(client, args, console, "account.linked", None)


async def _login_again(args: argparse.Namespace, console: Console) -> None:
    try:
        async with opened(args, console, offline=True) as client:
            await client.login_again(ask_password(console, args.password_file, new=False))
            _show_account(client, args, console, "account.logged_in", None)
            await show_restore(client, console)
    except ProfileError as error:
        if error.code == "profile_missing":
            raise UsageError("login_needs") from error
        raise


async def _with_passphrase(
    args: argparse.Namespace, console: Console, act: Callable[[Secret | None], Awaitable[Client]]
) -> Client:
    """Without a keyring the profile's key needs a passphrase: ask for it when it turns out to be so."""
    try:
        return await act(given_passphrase(args.passphrase_file))
    except ProfileError as error:
        if error.code != "passphrase_needed" or (typed := ask_passphrase(console)) is None:
            raise
        return await act(typed)


def _keep_recovery_code(client: Client, args: argparse.Namespace, console: Console) -> str | None:
    """Write the code to its file, or return it to be shown."""
    assert client.recovery_code is not None
    code = client.recovery_code.reveal_text()
    if args.recovery_file is None:
        return code
    write_private(args.recovery_file, code + "\n")
    if not console.as_json:
        console.say("account.recovery_written", path=args.recovery_file)
    return None


def _show_account(client: Client, args: argparse.Namespace, console: Console, key: str, code: str | None) -> None:
    if console.as_json:
        console.record(
            type="account",
            handle=client.me.handle,
            uid=client.me.uid.hex(),
            server=client.server_url,
            profile=str(folder_of(args)),
            recovery_code=code,
            awaits_approval=client.awaits_approval,
        )
        return
    console.say(key, handle=client.me.handle, server=client.server_url)
    if client.awaits_approval:
        console.say("account.awaits_approval")
    if code is not None:
        console.say("account.recovery_title")
        console.line(f"\n    {console.ink.bold(code)}\n")
        console.say("account.recovery_advice")
