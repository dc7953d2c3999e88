"""What the end-to-end tests wait for and look at."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from mensajeria.client import Chat, Client, EventStream
from mensajeria.client.api import Event, Message, MessageKind

PATIENCE_S = 60.0


async def until(stream: EventStream, wanted: Callable[[Event], bool], seconds: float = PATIENCE_S) -> Event:
    """The first event that is wanted."""
    async with asyncio.timeout(seconds):
        async for event in stream:
            if wanted(event):
                return event
    raise AssertionError("the client was closed")


async def texts(chat: Chat, *, outgoing: bool | None = None) -> list[str]:
    """The texts that stand in a chat's stored history, in order."""
    return [
        message.text
        async for message in chat.history()
        if message.kind is MessageKind.TEXT and outgoing in {None, message.outgoing}
    ]


async def eventually(check: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    """Wait until an awaitable check gives something true."""
    deadline = time.monotonic() + seconds
    while True:
        result = check()
        if asyncio.iscoroutine(result):
            result = await result
        if result:
            return
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.05)


async def last_message(chat: Chat) -> Message:
    """The newest stored message."""
    return (await chat.page(limit=1)).messages[-1]


async def befriend(ana: Client, bruno: Client) -> tuple[Chat, Chat]:
    """Both ends of a chat that both have accepted and written in."""
    there = await ana.direct_chat(bruno.me.handle)
    await ana.wait_sent((await there.send_text("hola")).mid)
    back = bruno.chat(there.chat_id)

    async def has_it() -> bool:
        return any(view.chat_id == there.chat_id and view.last is not None for view in await bruno.chats())

    await eventually(has_it)
    await bruno.wait_sent((await back.send_text("hola también")).mid)

    async def has_answer() -> bool:
        return await texts(there, outgoing=False) == ["hola también"]

    await eventually(has_answer)
    return there, back
