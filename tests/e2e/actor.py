"""A client in a process of its own, so that it can be killed in the middle of its work.

python -m tests.e2e.actor send PROFILE CHAT COUNT    writes "0" to "COUNT-1", going on where the store says it was
python -m tests.e2e.actor upload PROFILE CHAT FILE    sends the file unless the store has it; prints "at N" and "done"
python -m tests.e2e.actor receive PROFILE            stays connected; prints "ready", then every text it is told of
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from mensajeria.client import Chat, Client, EventStream
from mensajeria.client.api import MessageKind, MessageReceived, TransferProgress

BURST = 20


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def send(profile: Path, chat_id: bytes, count: int) -> None:
    async with await Client.open(profile) as client:
        say("ready")
        chat = client.chat(chat_id)
        done = [m async for m in chat.history() if m.outgoing and m.text.isdigit()]
        last = done[-1].mid if done else None
        for start in range(len(done), count, BURST):
            burst = range(start, min(count, start + BURST))
            last = (await asyncio.gather(*(chat.send_text(str(n)) for n in burst)))[-1].mid
        if last is not None:
            await client.wait_sent(last)
        await _wait_empty(chat, count)
        say("done")


async def _wait_empty(chat: Chat, count: int) -> None:
    while True:
        sent = [m async for m in chat.history() if m.outgoing and m.text.isdigit() and m.seq is not None]
        if len(sent) >= count:
            return
        await asyncio.sleep(0.2)


async def upload(profile: Path, chat_id: bytes, file: Path) -> None:
    async with await Client.open(profile, offline=True) as client:
        stream, chat = client.events(), client.chat(chat_id)
        known = [m async for m in chat.history() if m.kind is MessageKind.FILE and m.outgoing]
        mid = known[-1].mid if known else (await chat.send_file(file)).mid
        client._engine.start()
        sent = asyncio.create_task(client.wait_sent(mid))
        watching = asyncio.create_task(_progress(stream))
        await sent
        watching.cancel()
        say("done")


async def _progress(stream: EventStream) -> None:
    async for event in stream:
        if isinstance(event, TransferProgress):
            say(f"at {event.transfer.done}")


async def receive(profile: Path) -> None:
    async with await Client.open(profile) as client:
        stream = client.events()
        say("ready")
        async for event in stream:
            if isinstance(event, MessageReceived) and not event.message.outgoing:
                say(event.message.text)


if __name__ == "__main__":
    if sys.argv[1] == "upload":
        asyncio.run(upload(Path(sys.argv[2]), bytes.fromhex(sys.argv[3]), Path(sys.argv[4])))
    elif sys.argv[1] == "send":
        asyncio.run(send(Path(sys.argv[2]), bytes.fromhex(sys.argv[3]), int(sys.argv[4])))
    else:
        asyncio.run(receive(Path(sys.argv[2])))
