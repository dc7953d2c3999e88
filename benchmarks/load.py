"""The load: pairs of devices that send and receive, over real sockets, against our server and the bare one.

Both ends run in this process, so that the time from send to delivery is read on one clock.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from benchmarks.lib import proc
from benchmarks.lib.stats import percentile_ms
from mensajeria.protocol import frames
from mensajeria.protocol.connection import ClientConnection
from mensajeria.protocol.records import MessageOuter
from tests.server.people import Person
from tests.server.process import World

BODY: Final = 300
_POOL: Final = [os.urandom(BODY - 8) for _ in range(64)]
_outer: Final = msgspec.msgpack.Decoder(MessageOuter)
_ZERO32: Final = bytes(32)


class Session(Protocol):
    """One connected device."""

    def send(self, token: int) -> None:
        """Send a message whose first bytes are the token."""
        ...


@dataclass
class Tracker:
    """Hands out tokens, and at delivery takes the time and wakes the sender."""

    delivered: int = 0
    recording: bool = False
    latencies: list[float] = field(default_factory=list)
    _open: dict[int, tuple[float, Callable[[], None] | None]] = field(default_factory=dict)
    _last: int = 0

    def begin(self, done: Callable[[], None] | None) -> int:
        self._last += 1
        self._open[self._last] = (time.perf_counter(), done)
        return self._last

    def arrived(self, token: int) -> None:
        entry = self._open.pop(token, None)
        if entry is None:
            return
        self.delivered += 1
        if self.recording:
            self.latencies.append(time.perf_counter() - entry[0])
        if entry[1] is not None:
            entry[1]()

    @property
    def missing(self) -> int:
        return len(self._open)


class OurSession(WSListener):
    """A device of our server: MAC both ways, acks and events checked for order."""

    def __init__(self, channel: ClientConnection, chat_id: bytes, arrived: Callable[[int], None]) -> None:
        super().__init__()
        self._channel = channel
        self._chat_id = chat_id
        self._arrived = arrived
        self._seq = 0
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        transport.send(WSMsgType.BINARY, self._channel.hello())

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type != WSMsgType.BINARY:
            raise RuntimeError(f"closed: {frame}")
        received: Any = self._channel.receive(frame.get_payload_as_bytes())
        if type(received) is not frames.Batch:
            if not self.ready.done():
                if isinstance(received, frames.Pong):
                    self.ready.set_result(None)
                else:
                    transport.send(WSMsgType.BINARY, self._channel.send(frames.Ping(1)))
            return
        for item in received.items:
            if type(item) is frames.Event:
                self._check(item.seq)
                self._arrived(int.from_bytes(_outer.decode(item.body).ct[:8], "big"))
            elif type(item) is frames.Ack:
                self._check(item.seq)
            else:
                raise RuntimeError(f"unexpected {item}")

    def _check(self, seq: int) -> None:
        if seq != self._seq + 1:
            raise RuntimeError(f"{seq} after {self._seq}")
        self._seq = seq

    def send(self, token: int) -> None:
        assert self.transport is not None
        body = token.to_bytes(8, "big") + _POOL[token & 63]
        outer = MessageOuter(1, 1, self._chat_id, 0, _ZERO32, token, secrets.token_bytes(16), body, _ZERO32, 0)
        self.transport.send(WSMsgType.BINARY, self._channel.send(outer))


async def connect_ours(
    world: World,
    pairs: Sequence[tuple[Person, Person, bytes]],
    arrived: Callable[[int], None],
    receivers: World | None = None,
) -> list[OurSession]:
    """The senders of the pairs; the receivers are connected too, to another process of the server if one is given."""

    async def one(world: World, person: Person, chat_id: bytes) -> OurSession:
        channel = ClientConnection(
            person.ck,
            did=person.did,
            jwt=world.token(person),
            nonce=secrets.token_bytes(32),
            gen=0,
            server_id=world.facts.server_id,
        )
        _, session = await ws_connect(lambda: OurSession(channel, chat_id, arrived), world.server.websocket)
        assert isinstance(session, OurSession)
        await session.ready
        return session

    senders = []
    for sender, receiver, chat_id in pairs:
        senders.append(await one(world, sender, chat_id))
        await one(receivers or world, receiver, chat_id)
    return senders


class BareMessage(msgspec.Struct, array_like=True, gc=False):
    """The frame of the bare server, both ways."""

    chat: int
    mid: bytes
    seq: int
    body: bytes


class BareAck(msgspec.Struct, array_like=True, gc=False, tag=1):
    mid: bytes
    seq: int


class BareEvent(msgspec.Struct, array_like=True, gc=False, tag=2):
    chat: int
    seq: int
    body: bytes


_bare_encoder: Final = msgspec.msgpack.Encoder()
_bare_decoder: Final = msgspec.msgpack.Decoder(list[BareAck | BareEvent])


class BareSession(WSListener):
    """A connection to the bare server."""

    def __init__(self, number: int, arrived: Callable[[int], None]) -> None:
        super().__init__()
        self._chat = number
        self._arrived = arrived
        self.transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, _transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.BINARY:
            for item in _bare_decoder.decode(frame.get_payload_as_memoryview()):
                if type(item) is BareEvent:
                    self._arrived(int.from_bytes(item.body[:8], "big"))

    def send(self, token: int) -> None:
        assert self.transport is not None
        body = token.to_bytes(8, "big") + _POOL[token & 63]
        message = BareMessage(self._chat, secrets.token_bytes(16), 0, body)
        self.transport.send(WSMsgType.BINARY, _bare_encoder.encode(message))


class EchoSession(BareSession):
    """A connection to the echo server: a message comes back to its sender."""

    def on_ws_frame(self, _transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.BINARY:
            self._arrived(int.from_bytes(frame.get_payload_as_memoryview()[:8], "big"))

    def send(self, token: int) -> None:
        assert self.transport is not None
        self.transport.send(WSMsgType.BINARY, token.to_bytes(8, "big") + _POOL[token & 63])


async def connect_bare(
    kind: type[BareSession], port: int, pairs: int, arrived: Callable[[int], None]
) -> list[BareSession]:
    """The senders of the pairs; number 2n is a sender, 2n+1 its receiver."""
    sessions: list[BareSession] = []
    for number in range(pairs * 2):
        address = f"ws://127.0.0.1:{port}/ws?user={number}"
        _, session = await ws_connect(lambda number=number: kind(number // 2, arrived), address)
        assert isinstance(session, BareSession)
        sessions.append(session)
    return sessions[::2]


@dataclass(frozen=True)
class Work:
    """Each sender keeps `window` messages in flight until they are delivered (W1); or `rate` a second in all (W2)."""

    window: int = 8
    rate: float | None = None
    warmup_s: float = 2.0
    seconds: float = 8.0


async def measure(senders: Sequence[Session], tracker: Tracker, work: Work, roots: dict[str, int]) -> dict[str, float]:
    """Run the work and read what it cost: `roots` names the processes whose CPU counts."""
    live = True
    stop = None
    if work.rate is None:
        _pump(senders, tracker, work.window, lambda: live)
    else:
        stop = asyncio.create_task(_steady(senders, tracker, work.rate))
    await asyncio.sleep(work.warmup_s)
    tracker.latencies.clear()
    tracker.recording = True
    before = {name: proc.cpu_ms(pid) for name, pid in roots.items()}
    own, count, begun = proc.own_cpu_ms(), tracker.delivered, time.perf_counter()
    await asyncio.sleep(work.seconds)
    seconds, delivered = time.perf_counter() - begun, tracker.delivered - count
    spent = {name: proc.cpu_ms(pid) - before[name] for name, pid in roots.items()}
    load = proc.own_cpu_ms() - own
    tracker.recording = False
    live = False
    if stop is not None:
        stop.cancel()
    for _ in range(100):
        if not tracker.missing:
            break
        await asyncio.sleep(0.05)
    messages = max(delivered, 1)
    return {
        "messages_s": delivered / seconds,
        "p50_ms": percentile_ms(tracker.latencies, 0.5),
        "p99_ms": percentile_ms(tracker.latencies, 0.99),
        **{f"{name}_cpu_us": cost * 1000 / messages for name, cost in spent.items()},
        "load_cpu_us": load * 1000 / messages,
        "lost": tracker.missing,
    }


def _pump(senders: Sequence[Session], tracker: Tracker, window: int, is_live: Callable[[], bool]) -> None:
    def again(session: Session) -> None:
        if is_live():
            session.send(tracker.begin(lambda: again(session)))

    for session in senders:
        for _ in range(window):
            again(session)


async def _steady(senders: Sequence[Session], tracker: Tracker, rate: float) -> None:
    begun, number = time.perf_counter(), 0
    while True:
        wait = begun + number / rate - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        senders[number % len(senders)].send(tracker.begin(None))
        number += 1
