"""`mensajeria health`: what of the messages and keys of a profile does not work; reads the store, needs no network."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from mensajeria.cli.display import moment
from mensajeria.cli.exit_codes import Exit
from mensajeria.cli.profile import foreseen, opened
from mensajeria.cli.stopping import run_until_stopped

if TYPE_CHECKING:
    import argparse

    from mensajeria.cli.console import Console
    from mensajeria.client.api import Health

_COUNTS = (
    "waiting",
    "held",
    "lost",
    "tampered",
    "sessions_missing",
    "envelopes_failed",
    "pairs_renewed",
    "chats_to_tell",
    "new_devices",
)


def run(args: argparse.Namespace, console: Console) -> int:
    """Print the numbers."""
    with foreseen():
        health = run_until_stopped(_read(args, console))
    if console.as_json:
        record = {field.name: getattr(health, field.name) for field in fields(health)}
        console.record(type="health", well=health.is_well, **{**record, "healed": dict(health.healed)})
    else:
        _show(health, console)
    return Exit.OK


async def _read(args: argparse.Namespace, console: Console) -> Health:
    async with opened(args, console, offline=True) as client:
        return await client.health()


def _show(health: Health, console: Console) -> None:
    console.say("health.well" if health.is_well else "health.not_well")
    for name in _COUNTS:
        count = getattr(health, name)
        if count:
            console.say(f"health.{name}", count=count)
    if health.oldest_missing_ms is not None:
        console.say("health.oldest", when=moment(health.oldest_missing_ms))
    for source, count in sorted(health.healed.items()):
        console.say(f"health.healed_{source}", count=count)
    if health.rolled_back:
        console.say("health.rolled_back")
