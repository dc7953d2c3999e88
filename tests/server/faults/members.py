"""People who write and read through whatever happens, by the rules that the protocol's page gives to clients:

- what was not acked is sent again, byte for byte, after a reconnect;
- a push at or below the cursor is dropped, the next number is applied, a higher one starts a fetch;
- after each connect the heads are asked for, and what is lacking is fetched.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import Any, ClassVar

import msgspec
from picows import WSError

from mensajeria.protocol.errors import Code
from mensajeria.protocol.frames import Ack, Batch, Error, Event, Events, Fetch, Nack, NewChat, Sync, SyncPage
from mensajeria.protocol.records import MessageOuter
from tests.server.faults.servers import Cluster
from tests.server.people import Person
from tests.server.realtime.device import Closed, Device, outer

PAUSE_S = 0.2
WINDOW = 8
AWAY = (Closed, OSError, TimeoutError, WSError)


class Member:
    """One device of one person in some chats."""

    all: ClassVar[list[Member]] = []

    def __init__(self, cluster: Cluster, index: int, person: Person, chats: list[bytes]) -> None:
        """`index`: the server to connect to. While that one is away, the device waits for it."""
        Member.all.append(self)
        self._cluster = cluster
        self._index = index
        self.person = person
        self.chats = chats
        self.read: dict[bytes, list[bytes]] = {chat: [] for chat in chats}
        """The mids of each log, in order: the index is the number less one."""
        self.acked: dict[bytes, tuple[bytes, int]] = {}
        self.sent: dict[bytes, bytes] = {}
        """mid -> chat, of everything that is not acked yet, in the order of sending."""
        self.written: dict[bytes, list[bytes]] = {chat: [] for chat in chats}
        self.connects = 0
        self.nacks = 0
        self.latency: dict[bytes, float] = {}
        self._fetching: set[bytes] = set()
        self._head = dict.fromkeys(chats, 0)
        """The highest number heard of: a page that was read before it came may end below it."""
        self._device: Device | None = None
        self._room = asyncio.Event()
        self._tasks = [asyncio.create_task(self._live())]

    # --- what a test does

    def write(self, count: int | None = None, pause_s: float = 0.0) -> None:
        """Write into all chats in turn, `count` messages or without end, WINDOW at most without an ack."""
        self._tasks.append(asyncio.create_task(self._write(count, pause_s)))

    async def stop_writing(self) -> None:
        """Write nothing new."""
        await _end(self._tasks[1:])
        del self._tasks[1:]

    async def stop(self) -> None:
        """Leave."""
        await _end(self._tasks)
        if self._device is not None:
            await self._device.disconnect()
        Member.all.remove(self)

    def has_all(self, heads: dict[bytes, int]) -> bool:
        """Everything is acked, and all chats are read up to these numbers."""
        if self._tasks[0].done():
            self._tasks[0].result()
        return not self.sent and all(len(self.read[chat]) >= heads[chat] for chat in self.chats)

    # --- writing

    async def _write(self, count: int | None, pause_s: float) -> None:
        written = 0
        while count is None or written < count:
            while len(self.sent) >= WINDOW:
                self._room.clear()
                await self._room.wait()
            chat = self.chats[written % len(self.chats)]
            mid = secrets.token_bytes(16)
            self.sent[mid] = chat
            self.written[chat].append(mid)
            self.latency[mid] = asyncio.get_running_loop().time()
            self._send(mid)
            written += 1
            await asyncio.sleep(pause_s)

    def _send(self, mid: bytes) -> None:
        if self._device is not None and mid in self.sent:
            self._device.send(outer(self.sent[mid], mid))

    # --- one connection after the other

    async def _live(self) -> None:
        while True:
            with contextlib.suppress(*AWAY):
                await self._connect()
                await self._listen()
            device, self._device = self._device, None
            if device is not None:
                await device.disconnect()
            await asyncio.sleep(PAUSE_S)

    async def _connect(self) -> None:
        device = await Device.connect(self._cluster.worlds[self._index], self.person)
        Device.opened.remove(device)
        try:
            await device.welcome()
        except BaseException:
            await device.disconnect()
            raise
        self.connects += 1
        self._device = device
        self._fetching.clear()
        device.send(Sync(1))
        for mid in list(self.sent):
            self._send(mid)

    async def _listen(self) -> None:
        device = self._device
        assert device is not None
        while True:
            frame = device.channel.receive(await device.receive_raw(3600))
            for item in frame.items if isinstance(frame, Batch) else (frame,):
                self._take(item)

    def _take(self, item: Any) -> None:
        match item:
            case SyncPage():
                for head in item.heads:
                    self._fetch_up_to(head.chat_id, head.last_seq)
            case NewChat():
                self._fetch_up_to(item.head.chat_id, item.head.last_seq)
            case Events():
                self._fetching.discard(item.chat_id)
                for event in item.events:
                    self._apply(item.chat_id, event.seq, mid_of(event))
                self._fetch_up_to(item.chat_id, max(item.last_seq, self._head[item.chat_id]))
            case Event():
                self._apply(item.chat_id, item.seq, mid_of(item))
            case Ack():
                self._acked(item)
            case Nack():
                self.nacks += 1
                assert item.code in {Code.UNAVAILABLE, Code.INTERNAL}, item.code
                asyncio.get_running_loop().call_later(PAUSE_S, self._send, item.mid)
            case Error():
                assert item.code in {Code.UNAVAILABLE, Code.INTERNAL}, item.code
                asyncio.get_running_loop().call_later(PAUSE_S, self._ask_again)
            case _:
                pass

    def _ask_again(self) -> None:
        """A request failed; which one does not matter."""
        self._fetching.clear()
        if self._device is not None:
            self._device.send(Sync(1))

    def _acked(self, ack: Ack) -> None:
        if ack.mid in self.acked:
            assert self.acked[ack.mid] == (ack.chat_id, ack.seq)
        self.acked[ack.mid] = (ack.chat_id, ack.seq)
        self.sent.pop(ack.mid, None)
        self._room.set()
        self._apply(ack.chat_id, ack.seq, ack.mid)

    def _apply(self, chat: bytes, seq: int, mid: bytes) -> None:
        log = self.read[chat]
        if seq <= len(log):
            assert log[seq - 1] == mid, "another row under the same number"
        elif seq == len(log) + 1:
            assert mid not in log[-200:], "shown twice"
            log.append(mid)
        else:
            self._fetch_up_to(chat, seq)

    def _fetch_up_to(self, chat: bytes, seq: int) -> None:
        self._head[chat] = max(seq, self._head[chat])
        if self._device is not None and seq > len(self.read[chat]) and chat not in self._fetching:
            self._fetching.add(chat)
            self._device.send(Fetch(2, chat, len(self.read[chat]), 500))


def mid_of(event: Event) -> bytes:
    return msgspec.msgpack.decode(event.body, type=MessageOuter).mid


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
            raise result
