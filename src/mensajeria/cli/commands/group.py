"""`mensajeria group`: make groups, see who is in them, change who is and what they are called, leave."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mensajeria.cli.display import chat_name
from mensajeria.cli.exit_codes import Exit
from mensajeria.cli.failure import CommandError
from mensajeria.cli.profile import foreseen, opened
from mensajeria.cli.records import chat_record, member_record
from mensajeria.cli.stopping import run_until_stopped
from mensajeria.cli.terminal import one_line
from mensajeria.client import InputError
from mensajeria.client.api import GroupRole, HistoryChoice
from mensajeria.client.finding import find_chat

if TYPE_CHECKING:
    import argparse

    from mensajeria.cli.console import Console
    from mensajeria.client import Chat, Client


def run(args: argparse.Namespace, console: Console) -> int:
    """Do what was asked for."""
    with foreseen():
        run_until_stopped(_run(args, console))
    return Exit.OK


async def _run(args: argparse.Namespace, console: Console) -> None:
    try:
        async with asyncio.timeout(args.timeout), opened(args, console) as client:
            await client.caught_up()
            if args.action == "create":
                made = await client.create_group(args.name, args.users, description=args.description or "")
                await _report(made, args, console)
            else:
                await _with(await _group(client, args.group), client, args, console)
    except TimeoutError as error:
        raise CommandError("timeout") from error


async def _group(client: Client, name: str) -> Chat:
    """The group that is meant, by its name or its id. Raises ClientError."""
    view = find_chat(await client.chats(), name)
    if view is None:
        raise InputError("unknown_chat")
    if view.group is None:
        raise InputError("not_a_group")
    return client.chat(view.chat_id)


async def _with(group: Chat, client: Client, args: argparse.Namespace, console: Console) -> None:
    match args.action:
        case "members":
            await _members(group, console)
            return
        case "add":
            await group.add(args.users, history=HistoryChoice(args.history))
        case "remove":
            await group.remove(args.user)
        case "leave":
            await group.leave()
        case "role":
            await group.set_role(args.user, GroupRole(args.role))
        case "rename":
            await group.rename(args.name, args.description)
        case "picture":
            await group.set_picture(args.file)
        case _:
            group = await client.recreate_group(group.chat_id)
    await _report(group, args, console)


async def _members(group: Chat, console: Console) -> None:
    for member in await group.members():
        if console.as_json:
            console.record(**member_record(member))
        else:
            role = console.translator.tr(f"group.role.{member.role}")
            known_by = f"  ({console.translator.tr('group.former_identity')})" if member.former_identity else ""
            console.line(f"{one_line(member.person.handle)}  {console.ink.dim(role)}{known_by}")


async def _report(group: Chat, args: argparse.Namespace, console: Console) -> None:
    """How the group stands after the change."""
    view = await group.view()
    if console.as_json:
        console.record(**{**chat_record(view), "type": "group", "action": args.action})
    else:
        console.say(f"group.{args.action}", name=one_line(chat_name(view, console)), id=view.chat_id.hex()[:8])
