"""`mensajeria block`, `unblock`, `blocked`, `report`: not to hear of somebody, and telling the operator about them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mensajeria.cli.exit_codes import Exit
from mensajeria.cli.failure import CommandError, UsageError
from mensajeria.cli.profile import chat_of, foreseen, opened
from mensajeria.cli.records import person_record
from mensajeria.cli.stopping import run_until_stopped
from mensajeria.cli.terminal import one_line

if TYPE_CHECKING:
    import argparse

    from mensajeria.cli.console import Console
    from mensajeria.client import Client
    from mensajeria.client.api import Report


def run(args: argparse.Namespace, console: Console) -> int:
    """Do what the command's name says."""
    if args.command == "report" and args.messages and args.peer is None:
        raise UsageError("report_chat")
    with foreseen():
        run_until_stopped(_bounded(args, console))
    return Exit.OK


async def _bounded(args: argparse.Namespace, console: Console) -> None:
    try:
        async with asyncio.timeout(args.timeout), opened(args, console, offline=args.command == "blocked") as client:
            if args.command == "blocked":
                await _list(console, client)
            elif args.command == "report":
                await _report(args, console, client)
            else:
                await _change(args, console, client)
    except TimeoutError as error:
        raise CommandError("timeout") from error


async def _list(console: Console, client: Client) -> None:
    people = await client.blocked()
    for person in people:
        if console.as_json:
            console.record(**person_record("blocked", person))
        else:
            console.line(one_line(person.handle))
    if not people and not console.as_json:
        console.say("blocking.none")


async def _change(args: argparse.Namespace, console: Console, client: Client) -> None:
    await client.caught_up()  # what another device has decided counts first
    person = await (client.block(args.person) if args.command == "block" else client.unblock(args.person))
    done = f"{args.command}ed"
    if console.as_json:
        console.record(**person_record(done, person))
    else:
        console.say(f"blocking.{done}", name=person.handle)


async def _report(args: argparse.Namespace, console: Console, client: Client) -> None:
    await client.caught_up()
    chat_id = None if args.peer is None else (await chat_of(client, args.peer)).chat_id
    report = await client.draft_report(args.person, args.words, chat_id=chat_id, messages=args.messages)
    if not console.as_json:
        console.say("blocking.told", name=report.person.handle)
        for line in report.text.split("\n"):
            console.line(f"  {one_line(line)}")
    number = None if args.dry_run else await client.send_report(report)
    if console.as_json:
        console.record(**_record(report), id=number)
    elif number is None:
        console.say("blocking.not_sent")
    else:
        console.say("blocking.reported", id=number)


def _record(report: Report) -> dict[str, object]:
    chat = None if report.chat_id is None else report.chat_id.hex()
    return {**person_record("report", report.person), "chat": chat, "text": report.text}
