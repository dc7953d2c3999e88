"""`mensajeria send`: one message."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mensajeria.cli.asking import read_text
from mensajeria.cli.exit_codes import Exit
from mensajeria.cli.failure import CommandError, UsageError
from mensajeria.cli.profile import chat_of, folder_of, foreseen, opened
from mensajeria.cli.progress import progress_of
from mensajeria.cli.stopping import run_until_stopped
from mensajeria.client import ProfileError

if TYPE_CHECKING:
    import argparse

    from mensajeria.cli.console import Console
    from mensajeria.client import Chat
    from mensajeria.client.api import SentMessage


def run(args: argparse.Namespace, console: Console) -> int:
    """Send, and wait until the server has it unless told not to."""
    text = args.text if args.text is not None or args.files else read_text()
    if not args.files and not text.strip():
        raise UsageError("no_text")
    if args.files and args.reply_to is not None:
        raise UsageError("reply_is_text")
    with foreseen():
        run_until_stopped(_send(args, console, text or ""))
    return Exit.OK


async def _send(args: argparse.Namespace, console: Console, text: str) -> None:
    try:
        async with asyncio.timeout(args.timeout) as limit:
            await _send_here_or_there(args, console, text, limit)
    except TimeoutError as error:
        raise CommandError("timeout") from error


async def _send_here_or_there(args: argparse.Namespace, console: Console, text: str, limit: asyncio.Timeout) -> None:
    try:
        async with opened(args, console, offline=args.no_wait) as client:
            chat = await chat_of(client, args.to, to_write=True)
            async with progress_of(client, limit, args, console):
                sent = await _queue(args, chat, text)
                if not args.no_wait:
                    for one in sent:
                        await client.wait_sent(one.mid)
            _report_all(args, console, sent)
    except ProfileError as error:
        if error.code != "profile_in_use" or args.reply_to is not None:
            raise
        await _hand_over(args, console, text, limit)


async def _queue(args: argparse.Namespace, chat: Chat, text: str) -> list[SentMessage]:
    """The text, or the files, of which the first has it as its caption."""
    if not args.files:
        return [await chat.send_text(text, reply_to=args.reply_to)]
    captions = [text] + [""] * (len(args.files) - 1)
    as_image = False if args.as_file else None
    pairs = zip(args.files, captions, strict=True)
    return [await chat.send_file(path, caption, as_image=as_image) for path, caption in pairs]


async def _hand_over(args: argparse.Namespace, console: Console, text: str, limit: asyncio.Timeout) -> None:
    """`listen` or the window has the profile open: let that process send it."""
    from mensajeria.client.control import hand_over, hand_over_file  # noqa: PLC0415 - needed only in this case

    folder, wait = folder_of(args), not args.no_wait
    if not args.files:
        _report_all(args, console, [await hand_over(folder, to=args.to, text=text, wait=wait)])
        return
    limit.reschedule(None)  # how far it is only the other process knows
    for number, path in enumerate(args.files):
        caption, as_image = "" if number else text, False if args.as_file else None
        sent = await hand_over_file(
            folder, to=args.to, path=path.absolute(), caption=caption, as_image=as_image, wait=wait
        )
        _report_all(args, console, [sent])


def _report_all(args: argparse.Namespace, console: Console, sent: list[SentMessage]) -> None:
    for one in sent:
        _report(args, console, one.chat_id.hex(), one.mid.hex())


def _report(args: argparse.Namespace, console: Console, chat: str, mid: str) -> None:
    state = "queued" if args.no_wait else "sent"
    if console.as_json:
        console.record(type="sent", chat=chat, mid=mid, state=state)
    else:
        console.say(f"send.{state}", name=args.to)
