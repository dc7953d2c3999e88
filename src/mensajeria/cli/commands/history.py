"""`mensajeria history`: the newest messages of a chat, oldest first."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mensajeria.cli.display import message_line
from mensajeria.cli.exit_codes import Exit
from mensajeria.cli.failure import CommandError
from mensajeria.cli.profile import chat_of, foreseen, opened
from mensajeria.cli.records import message_record
from mensajeria.cli.stopping import run_until_stopped

if TYPE_CHECKING:
    import argparse

    from mensajeria.cli.console import Console
    from mensajeria.client import Chat
    from mensajeria.client.api import Message

PAGE = 200


def run(args: argparse.Namespace, console: Console) -> int:
    """Catch up with the server first, unless told not to, and print."""
    with foreseen():
        messages = run_until_stopped(_history(args, console))
    for message in messages:
        if console.as_json:
            console.record(**message_record(message))
        else:
            console.line(message_line(message, console))
    if not messages and not console.as_json:
        console.say("history.none")
    return Exit.OK


async def _history(args: argparse.Namespace, console: Console) -> list[Message]:
    try:
        async with asyncio.timeout(args.timeout), opened(args, console, offline=args.offline) as client:
            if not args.offline:
                await client.caught_up()
            return await newest(await chat_of(client, args.peer), args.limit)
    except TimeoutError as error:
        raise CommandError("timeout") from error


async def newest(chat: Chat, limit: int) -> list[Message]:
    """The newest `limit` messages, oldest first."""
    found: list[Message] = []
    before: int | None = None
    while len(found) < limit:
        page = await chat.page(before=before, limit=min(PAGE, limit - len(found)))
        found[:0] = page.messages
        if page.at_start or not page.messages:
            break
        before = page.messages[0].order
    return found
