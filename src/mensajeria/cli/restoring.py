"""What a person sees while the history of a new device comes back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from mensajeria.cli.records import event_record
from mensajeria.client.api import ConnectionChanged, ConnectionPhase, HistoryRestored, RestoreProgress

if TYPE_CHECKING:
    from mensajeria.cli.console import Console
    from mensajeria.client import Client, EventStream

QUIET_S: Final = 30.0
"""Without progress for so long the command ends: the rest comes with the next one that connects."""
_OVER: Final = frozenset({ConnectionPhase.LOGIN_ENDED, ConnectionPhase.STOPPED, ConnectionPhase.OFFLINE})


async def show_restore(client: Client, console: Console) -> None:
    """Stay until a new device has its history, and tell how far it is. Nothing to do on a device that has it."""
    stream = client.events()
    try:
        if (await client.backup_status()).restoring:
            await _follow(stream, console)
    finally:
        stream.close()


async def _follow(stream: EventStream, console: Console) -> None:
    while True:
        try:
            async with asyncio.timeout(QUIET_S):
                events = await stream.next_batch()
        except TimeoutError:
            return
        for event in events:
            if isinstance(event, RestoreProgress) and not console.as_json:
                console.say("backup.progress", done=event.done, total=event.total)
            if isinstance(event, HistoryRestored):
                if console.as_json:
                    console.record(**(event_record(event) or {}))
                elif event.restored:
                    console.say("backup.history", restored=event.restored)
                return
            if isinstance(event, ConnectionChanged) and event.phase in _OVER:
                return
        if not events:
            return
