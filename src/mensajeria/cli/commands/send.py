"""`mensajeria send`: one message."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mensajeria.cli.asking import read_text
from mensajeria.cli.exit_codes import Exit
from mensajeria.cli.failure import CommandError, UsageError
from mensajeria.cli.profile import chat_of, folder_of, foreseen, opened
from mensajeria.cli.stopping import run_until_stopped
from mensajeria.client import ProfileError

if TYPE_CHECKING:
    import argparse

    from mensajeria.cli.console import Console


def run(args: argparse.Namespace, console: Console) -> int:
    """Send, and wait until the server has it unless told not to."""
    text = args.text if args.text is not None else read_text()
    if not text.strip():
        raise UsageError("no_text")
    with foreseen():
        run_until_stopped(_send(args, console, text))
    return Exit.OK


async def _send(args: argparse.Namespace, console: Console, text: str) -> None:
    try:
        async with asyncio.timeout(args.timeout):
            await _send_here_or_there(args, console, text)
    except TimeoutError as error:
        raise CommandError("timeout") from error


async def _send_here_or_there(args: argparse.Namespace, console: Console, text: str) -> None:
    try:
        async with opened(args, console, offline=args.no_wait) as client:
            chat = await chat_of(client, args.to)
            sent = await chat.send_text(text)
            if not args.no_wait:
                await client.wait_sent(sent.mid)
            _report(args, console, sent.chat_id.hex(), sent.mid.hex())
    except ProfileError as error:
        if error.code != "profile_in_use":
            raise
        await _hand_over(args, console, text)


async def _hand_over(args: argparse.Namespace, console: Console, text: str) -> None:
    """`listen` or the window has the profile open: let that process send it."""
    from mensajeria.client.control import hand_over  # noqa: PLC0415 - needed only in this case

    sent = await hand_over(folder_of(args), to=args.to, text=text, wait=not args.no_wait)
    _report(args, console, sent.chat_id.hex(), sent.mid.hex())


def _report(args: argparse.Namespace, console: Console, chat: str, mid: str) -> None:
    state = "queued" if args.no_wait else "sent"
    if console.as_json:
        console.record(type="sent", chat=chat, mid=mid, state=state)
    else:
        console.say(f"send.{state}", name=args.to)
