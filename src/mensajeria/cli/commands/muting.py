"""`mensajeria mute`, `unmute`: not to be told of a chat's new messages, on all own devices; needs no network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mensajeria.cli.display import chat_name
from mensajeria.cli.exit_codes import Exit
from mensajeria.cli.profile import chat_of, foreseen, opened
from mensajeria.cli.records import chat_record
from mensajeria.cli.stopping import run_until_stopped

if TYPE_CHECKING:
    import argparse

    from mensajeria.cli.console import Console
    from mensajeria.client.api import ChatView

_HOUR_S = 3600


def run(args: argparse.Namespace, console: Console) -> int:
    """Do what the command's name says; the chat as it is then."""
    with foreseen():
        view = run_until_stopped(_run(args, console))
    if console.as_json:
        console.record(**chat_record(view))
    else:
        console.say(f"muting.{args.command}d", name=chat_name(view, console))
    return Exit.OK


async def _run(args: argparse.Namespace, console: Console) -> ChatView:
    async with opened(args, console, offline=True) as client:
        chat = await chat_of(client, args.peer)
        if args.command == "unmute":
            await chat.unmute()
        else:
            await chat.mute(None if args.hours is None else args.hours * _HOUR_S)
        return await chat.view()
