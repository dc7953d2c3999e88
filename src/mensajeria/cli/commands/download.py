"""`mensajeria download`: the file of one message. Nothing is ever fetched without this, or a click."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mensajeria.cli.exit_codes import Exit
from mensajeria.cli.failure import CommandError
from mensajeria.cli.profile import chat_of, folder_of, foreseen, opened
from mensajeria.cli.progress import progress_of
from mensajeria.cli.stopping import run_until_stopped
from mensajeria.cli.terminal import one_line
from mensajeria.client import ProfileError

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from mensajeria.cli.console import Console


def run(args: argparse.Namespace, console: Console) -> int:
    """Save the file, and say where."""
    with foreseen():
        path = run_until_stopped(_download(args, console))
    if console.as_json:
        console.record(type="saved", mid=args.mid.hex(), path=str(path))
    else:
        console.line(console.tr("files.saved", path=one_line(str(path))))
    return Exit.OK


async def _download(args: argparse.Namespace, console: Console) -> Path:
    try:
        async with asyncio.timeout(args.timeout) as limit:
            return await _here_or_there(args, console, limit)
    except TimeoutError as error:
        raise CommandError("timeout") from error


async def _here_or_there(args: argparse.Namespace, console: Console, limit: asyncio.Timeout) -> Path:
    try:
        async with opened(args, console) as client:
            await client.caught_up()
            chat = await chat_of(client, args.peer)
            async with progress_of(client, limit, args, console):
                return await chat.download(args.mid, args.to)
    except ProfileError as error:
        if error.code != "profile_in_use":
            raise
        return await _hand_over(args, limit)


async def _hand_over(args: argparse.Namespace, limit: asyncio.Timeout) -> Path:
    """`listen` or the window has the profile open: let that process save it."""
    from mensajeria.client.control import hand_over_download  # noqa: PLC0415 - needed only in this case

    limit.reschedule(None)  # how far it is only the other process knows
    return await hand_over_download(folder_of(args), peer=args.peer, mid=args.mid, to=args.to.absolute())
