"""`mensajeria chats`: list them, accept or decline a request."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mensajeria.cli.display import chat_line, chat_name
from mensajeria.cli.exit_codes import Exit
from mensajeria.cli.failure import CommandError, UsageError
from mensajeria.cli.profile import foreseen, opened
from mensajeria.cli.records import chat_record
from mensajeria.cli.stopping import run_until_stopped
from mensajeria.client.finding import find_chat

if TYPE_CHECKING:
    import argparse

    from mensajeria.cli.console import Console
    from mensajeria.client import Client
    from mensajeria.client.api import ChatView


def run(args: argparse.Namespace, console: Console) -> int:
    """List chats, or answer a request."""
    if args.action == "list" and args.chat is not None:
        raise UsageError("chat_not_needed")
    if args.action != "list" and args.chat is None:
        raise UsageError("chat_needed")
    with foreseen():
        run_until_stopped(_bounded(args, console))
    return Exit.OK


async def _bounded(args: argparse.Namespace, console: Console) -> None:
    try:
        async with asyncio.timeout(args.timeout), opened(args, console, offline=args.offline) as client:
            if not args.offline:
                await client.caught_up()
            if args.action == "list":
                _print(await client.chats(), console)
            else:
                await _answer(args, console, client)
    except TimeoutError as error:
        raise CommandError("timeout") from error


async def _answer(args: argparse.Namespace, console: Console, client: Client) -> None:
    view = find_chat(await client.chats(), args.chat)
    if view is None:
        raise CommandError("unknown_chat")
    chat = client.chat(view.chat_id)
    await (chat.accept() if args.action == "accept" else chat.decline())
    if console.as_json:
        console.record(type=f"{args.action}ed" if args.action == "accept" else "declined", chat=view.chat_id.hex())
    else:
        console.say("chats.accepted" if args.action == "accept" else "chats.declined", name=chat_name(view, console))


def _print(views: tuple[ChatView, ...], console: Console) -> None:
    for view in views:
        if console.as_json:
            console.record(**chat_record(view))
        else:
            console.line(chat_line(view, console))
    if not views and not console.as_json:
        console.say("chats.none")
