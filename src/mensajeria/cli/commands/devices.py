"""`mensajeria devices`: the account's devices."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mensajeria.cli.display import device_line
from mensajeria.cli.exit_codes import Exit
from mensajeria.cli.failure import CommandError
from mensajeria.cli.profile import foreseen, opened
from mensajeria.cli.records import device_record
from mensajeria.cli.stopping import run_until_stopped

if TYPE_CHECKING:
    import argparse

    from mensajeria.cli.console import Console
    from mensajeria.client.api import DeviceView


def run(args: argparse.Namespace, console: Console) -> int:
    """List them."""
    with foreseen():
        devices = run_until_stopped(_devices(args, console))
    for device in devices:
        if console.as_json:
            console.record(**device_record(device))
        else:
            console.line(device_line(device, console))
    return Exit.OK


async def _devices(args: argparse.Namespace, console: Console) -> tuple[DeviceView, ...]:
    try:
        async with asyncio.timeout(args.timeout), opened(args, console) as client:
            return tuple(await client.devices())
    except TimeoutError as error:
        raise CommandError("timeout") from error
