"""`mensajeria privacy`: show or change what others are let notice; needs no network."""

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
        settings = run_until_stopped(_run(args, console))
    if console.as_json:
        console.record(**privacy_record(settings))
    else:
        for name in NAMES:
            console.say(f"privacy.{name}_{'on' if getattr(settings, name) else 'off'}")
    return Exit.OK


async def _run(args: argparse.Namespace, console: Console) -> PrivacySettings:
    wanted = {name: chosen == "on" for name in NAMES if (chosen := getattr(args, name)) is not None}
    async with opened(args, console, offline=True) as client:
        return await client.set_privacy(**wanted) if wanted else await client.privacy()
