"""One person of the demonstration: a process of their own that opens a profile and does what it is told.

Standard input: one JSON object a line (`{"do": "send", "text": ...}`, `{"do": "stop"}`); standard output: what happens,
one JSON object a line with the time it happened. Started by `mensajeria.cli.demo.story`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mensajeria.client import Client
from mensajeria.client.api import (
    ChatChanged,
    Event,
    MessageKind,
    MessageReceived,
    MessageStateChanged,
)
from mensajeria.kit.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

READ_AFTER_S: Final = 0.35
"""How long a person looks at a message before it counts as read: long enough to be seen."""


def tell(**fields: Any) -> None:
    """Report to the story."""
    print(json.dumps({"at": time.time(), **fields}), flush=True)


async def _commands() -> AsyncIterator[dict[str, Any]]:
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        yield json.loads(line)


async def _act(client: Client) -> None:
    async for command in _commands():
        if command["do"] == "stop":
            return
        chat = await client.direct_chat(command["to"])
        tell(event="typed", text=command["text"])
        sent = await chat.send_text(command["text"])
        tell(event="state", mid=sent.mid.hex(), state="queued")


async def _watch(client: Client) -> None:
    async for event in client.events():
        await _react(client, event)


async def _react(client: Client, event: Event) -> None:
    match event:
        case ChatChanged(chat) if not chat.accepted:
            await client.accept(chat.chat_id)
        case MessageReceived(message) if message.kind is MessageKind.TEXT and not message.outgoing:
            tell(event="read", text=message.text, sender=message.sender.handle)
            await asyncio.sleep(READ_AFTER_S)
            await client.mark_read(message.chat_id, message.order)
        case MessageStateChanged(message):
            tell(event="state", mid=message.mid.hex(), state=str(message.state))
        case _:
            pass


async def live(profile: Path, server: str, name: str, password: Secret) -> None:
    """Register, then follow orders until told to stop."""
    client = await Client.register(server, name, password, profile=profile)
    async with client:
        watching = asyncio.create_task(_watch(client))
        tell(event="ready")
        await _act(client)
        watching.cancel()


if __name__ == "__main__":
    asyncio.run(live(Path(sys.argv[1]), sys.argv[2], sys.argv[3], Secret.from_text(json.loads(sys.stdin.readline()))))
