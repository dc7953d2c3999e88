"""How far files are, while a command waits for them. Its limit of time counts from the last progress."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from mensajeria.cli.display import size_text
from mensajeria.cli.records import transfer_record
from mensajeria.client.api import TransferProgress

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator

    from mensajeria.cli.console import Console
    from mensajeria.client import Client
    from mensajeria.client.api import Transfer


@asynccontextmanager
async def progress_of(
    client: Client, limit: asyncio.Timeout, args: argparse.Namespace, console: Console
) -> AsyncIterator[None]:
    """Put the limit off with every progress, and tell of it with `--progress`."""
    watcher = asyncio.create_task(_watch(client, limit, args, console))
    try:
        yield
    finally:
        watcher.cancel()


async def _watch(client: Client, limit: asyncio.Timeout, args: argparse.Namespace, console: Console) -> None:
    loop = asyncio.get_running_loop()
    async for event in client.events():
        if isinstance(event, TransferProgress):
            limit.reschedule(loop.time() + args.timeout)
            if args.progress:
                _tell(event.transfer, console)


def _tell(transfer: Transfer, console: Console) -> None:
    if console.as_json:
        console.record(**transfer_record(transfer))
        return
    done, total = size_text(transfer.done), size_text(transfer.total)
    console.warn(console.tr("files.progress", name=transfer.mid.hex()[:8], done=done, total=total))
