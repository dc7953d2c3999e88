"""`mensajeria profile`: what the account tells its contacts about itself, and what they tell."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from mensajeria.cli.display import size_text
from mensajeria.cli.exit_codes import Exit
from mensajeria.cli.failure import CommandError, UsageError
from mensajeria.cli.profile import foreseen, opened
from mensajeria.cli.records import profile_record
from mensajeria.cli.stopping import run_until_stopped
from mensajeria.cli.terminal import one_line
from mensajeria.client import InputError
from mensajeria.client.api import UserProfile

if TYPE_CHECKING:
    import argparse

    from mensajeria.cli.console import Console
    from mensajeria.client import Client


def run(args: argparse.Namespace, console: Console) -> int:
    """Do what was asked for."""
    if args.action == "set":
        if (args.name, args.status, args.picture) == (None, None, None) and not args.no_picture:
            raise UsageError("profile_nothing")
        if args.picture is not None and args.no_picture:
            raise UsageError("profile_picture")
    with foreseen():
        run_until_stopped(_bounded(args, console))
    return Exit.OK


async def _bounded(args: argparse.Namespace, console: Console) -> None:
    try:
        async with asyncio.timeout(args.timeout):
            await (_set if args.action == "set" else _show)(args, console)
    except TimeoutError as error:
        raise CommandError("timeout") from error


async def _set(args: argparse.Namespace, console: Console) -> None:
    async with opened(args, console, offline=args.no_wait) as client:
        picture = b"" if args.no_picture else args.picture
        profile = await client.set_profile(name=args.name, status=args.status, picture=picture)
        if not args.no_wait:
            await client.profile_published()
        _report(console, client.me.handle, profile)
        if not console.as_json:
            console.say("profile.queued" if args.no_wait else "profile.published")


async def _show(args: argparse.Namespace, console: Console) -> None:
    async with opened(args, console, offline=args.offline) as client:
        if not args.offline:
            await client.caught_up()
            await client.fetch_profiles()
        handle, profile = await _found(client, args.person)
        if args.picture is not None:
            await asyncio.to_thread(_save, profile.picture, args.picture)
        _report(console, handle, profile)


async def _found(client: Client, name: str | None) -> tuple[str, UserProfile]:
    handle = client.me.handle if name is None else name.strip().lower().removeprefix("@")
    if handle == client.me.handle:
        return handle, await client.profile()
    return handle, await client.profile_of(handle) or UserProfile()


def _save(picture: bytes, target: Path) -> None:
    """Into a new file. Raises InputError (no_picture, target_exists, target_unwritable)."""
    if not picture:
        raise InputError("no_picture")
    try:
        with target.open("xb") as file:
            file.write(picture)
    except FileExistsError as error:
        raise InputError("target_exists", params={"name": target.name}) from error
    except OSError as error:
        raise InputError("target_unwritable", str(error)[:100], params={"name": target.name}) from error


def _report(console: Console, handle: str, profile: UserProfile) -> None:
    """The user name stands first and marked: a name in a profile may be anybody's."""
    if console.as_json:
        console.record(**profile_record(handle, profile))
        return
    console.line(console.ink.bold(f"@{one_line(handle)}"))
    if profile == UserProfile():
        console.say("profile.none")
    for key, text in (("name", profile.name), ("status", profile.status)):
        if text:
            console.say(f"profile.{key}", text=one_line(text))
    if profile.picture:
        console.say("profile.picture", size=size_text(len(profile.picture)))
