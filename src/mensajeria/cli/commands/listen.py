"""`mensajeria listen`: what arrives, as it arrives, until Ctrl+C or SIGTERM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mensajeria.cli.display import event_line
from mensajeria.cli.exit_codes import Exit
from mensajeria.cli.profile import foreseen, opened
from mensajeria.cli.records import event_record
from mensajeria.cli.stopping import Stop, run_until_stopped
from mensajeria.client.api import ChatChanged

if TYPE_CHECKING:
    import argparse

    from mensajeria.cli.console import Console
    from mensajeria.client import Client
    from mensajeria.client.api import Event


def run(args: argparse.Namespace, console: Console) -> int:
    """Listen until stopped."""
    try:
        with foreseen():
            run_until_stopped(_listen(args, console))
    except Stop:
        pass
    return Exit.OK


async def _listen(args: argparse.Namespace, console: Console) -> None:
    async with opened(args, console) as client:
        stream = client.events()
        _greet(client, console)
        if args.accept_all:
            for view in await client.chats():
                if not view.accepted:
                    await client.chat(view.chat_id).accept()
        async for event in stream:
            await _take(event, client, console, accept_all=args.accept_all)


async def _take(event: Event, client: Client, console: Console, *, accept_all: bool) -> None:
    if isinstance(event, ChatChanged) and not event.chat.accepted and accept_all:
        await client.chat(event.chat.chat_id).accept()
        return
    if console.as_json:
        if (record := event_record(event)) is not None:
            console.record(**record)
    elif (line := event_line(event, console)) is not None:
        console.line(line)


def _greet(client: Client, console: Console) -> None:
    if console.as_json:
        console.record(type="ready", handle=client.me.handle, uid=client.me.uid.hex())
    else:
        console.say("listen.ready", handle=client.me.handle)
