"""`mensajeria privacy`: show or change what others are let notice, and the timer of new chats; needs no network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mensajeria.cli.exit_codes import Exit
from mensajeria.cli.profile import foreseen, opened
from mensajeria.cli.records import privacy_record
from mensajeria.cli.stopping import run_until_stopped

if TYPE_CHECKING:
    import argparse

    from mensajeria.cli.console import Console
    from mensajeria.client.api import PrivacySettings

NAMES: Final = ("read_receipts", "typing", "presence")


def run(args: argparse.Namespace, console: Console) -> int:
    """Change what was named, then say how everything stands."""
    with foreseen():
        settings, seconds = run_until_stopped(_run(args, console))
    if console.as_json:
        console.record(**privacy_record(settings), new_chats_timer=seconds)
    else:
        for name in NAMES:
            console.say(f"privacy.{name}_{'on' if getattr(settings, name) else 'off'}")
        if seconds:
            console.say("privacy.timer_on", time=console.translator.span(seconds))
        else:
            console.say("privacy.timer_off")
    return Exit.OK


async def _run(args: argparse.Namespace, console: Console) -> tuple[PrivacySettings, int]:
    wanted = {name: chosen == "on" for name in NAMES if (chosen := getattr(args, name)) is not None}
    async with opened(args, console, offline=True) as client:
        if args.new_chats_timer is not None:
            await client.set_timer_for_new_chats(args.new_chats_timer)
        settings = await client.set_privacy(**wanted) if wanted else await client.privacy()
        return settings, await client.timer_for_new_chats()
