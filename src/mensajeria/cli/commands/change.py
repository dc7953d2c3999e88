"""`mensajeria edit`, `react`, `delete`, `timer`: what is done to messages that are there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mensajeria.cli.exit_codes import Exit
from mensajeria.cli.failure import CommandError
from mensajeria.cli.profile import chat_of, foreseen, opened
from mensajeria.cli.stopping import run_until_stopped

if TYPE_CHECKING:
    import argparse

    from mensajeria.cli.console import Console
    from mensajeria.client import Chat
    from mensajeria.client.api import SentMessage


def run(args: argparse.Namespace, console: Console) -> int:
    """Queue the change, and wait until the server has it unless told not to."""
    with foreseen():
        run_until_stopped(_bounded(args, console))
    return Exit.OK


async def _bounded(args: argparse.Namespace, console: Console) -> None:
    try:
        async with asyncio.timeout(args.timeout):
            await _change(args, console)
    except TimeoutError as error:
        raise CommandError("timeout") from error


async def _change(args: argparse.Namespace, console: Console) -> None:
    async with opened(args, console, offline=args.no_wait) as client:
        if not args.no_wait:
            await client.caught_up()
        chat = await chat_of(client, args.peer)
        if args.command == "timer" and args.seconds is None:
            await _show_timer(chat, console)
            return
        sent = await _ask(args, chat)
        if sent is not None and not args.no_wait:
            await client.wait_sent(sent.mid)
        _report(args, console, chat, sent)


async def _ask(args: argparse.Namespace, chat: Chat) -> SentMessage | None:
    match args.command:
        case "edit":
            return await chat.edit(args.mid, args.text)
        case "react":
            return await chat.react(args.mid, args.emoji)
        case "delete":
            return await chat.delete(args.mid, for_all=not args.here)
        case _:
            return await chat.set_timer(args.seconds)


async def _show_timer(chat: Chat, console: Console) -> None:
    seconds = await chat.timer()
    if console.as_json:
        console.record(type="timer", chat=chat.chat_id.hex(), seconds=seconds)
    elif seconds:
        console.say("change.timer", time=console.translator.span(seconds))
    else:
        console.say("change.no_timer")


def _report(args: argparse.Namespace, console: Console, chat: Chat, sent: SentMessage | None) -> None:
    state = "here" if sent is None else "queued" if args.no_wait else "sent"
    if console.as_json:
        mid = None if sent is None else sent.mid.hex()
        console.record(type="change", command=args.command, chat=chat.chat_id.hex(), mid=mid, state=state)
    else:
        console.say(f"change.{state}")
