"""The works W1 to W4, whichever server they run on.

A body has 300 bytes and begins with a number, which is told at delivery. Both ends run in this process, so that the
time from send to delivery is read on one clock. The load shares the machine with the server: compare CPU per message,
too.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.lib import proc
from benchmarks.lib.peer import OnBody, Peer, Session, each, ignore
from benchmarks.lib.stats import percentile_ms

BODY: Final = 300
DRAIN_S: Final = 5.0
AT_ONCE_IDLE: Final = 32
_POOL: Final = [os.urandom(BODY - 8) for _ in range(64)]
Result = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """How large and how long the works are."""

    users: int = 100
    """W1, W2: half of them send."""
    window: int = 8
    """W1: messages that each sender has in flight."""
    rate: float = 100.0
    """W2: messages a second in all."""
    members: int = 100
    group_window: int = 8
    """W3: messages in flight."""
    sessions: int = 2000
    """W4: idle sessions."""
    warmup_s: float = 2.0
    seconds: float = 8.0


@dataclass
class Tracker:
    """Hands out bodies; at delivery takes the time and, when all receivers have it, wakes the sender."""

    fan: int = 1
    """Receivers of each message."""
    sent: int = 0
    delivered: int = 0
    completed: int = 0
    recording: bool = False
    latencies: list[float] = field(default_factory=list)
    _open: dict[int, list[Any]] = field(default_factory=dict)

    def body(self, done: Callable[[], None] | None = None) -> bytes:
        """The next body."""
        self.sent += 1
        self._open[self.sent] = [time.perf_counter(), self.fan, done]
        return self.sent.to_bytes(8, "big") + _POOL[self.sent & 63]

    def arrived(self, token: bytes) -> None:
        """A body has been delivered to one receiver."""
        number = int.from_bytes(token, "big")
        entry = self._open.get(number)
        if entry is None:
            return
        self.delivered += 1
        if self.recording:
            self.latencies.append(time.perf_counter() - entry[0])
        entry[1] -= 1
        if entry[1] == 0:
            del self._open[number]
            self.completed += 1
            if entry[2] is not None:
                entry[2]()

    async def drain(self) -> int:
        """Wait for what is on its way; how many messages never came."""
        end = time.perf_counter() + DRAIN_S
        while self._open and time.perf_counter() < end:  # noqa: ASYNC110 - an event would cost time per message
            await asyncio.sleep(0.05)
        return len(self._open)


class Meter:
    """Reads what the work cost between `start` and `stop`."""

    def __init__(self, roots: Mapping[str, int], tracker: Tracker) -> None:
        self._roots = roots
        self._tracker = tracker

    def start(self) -> None:
        """Begin."""
        self._tracker.latencies.clear()
        self._tracker.recording = True
        self._counts = self._tracker.delivered, self._tracker.completed
        self._cpu = {name: proc.cpu_ms(pid) for name, pid in self._roots.items()}
        self._own, self._stolen, self._begun = proc.own_cpu_ms(), proc.stolen_ms(), time.perf_counter()

    def stop(self) -> Result:
        """End; the figures."""
        tracker = self._tracker
        seconds = time.perf_counter() - self._begun
        delivered, completed = tracker.delivered - self._counts[0], tracker.completed - self._counts[1]
        cpu = {name: proc.cpu_ms(pid) - self._cpu[name] for name, pid in self._roots.items()}
        load = proc.own_cpu_ms() - self._own
        tracker.recording = False
        messages = max(completed, 1)
        return {
            "begun_s": self._begun,
            "seconds": seconds,
            "messages_s": completed / seconds,
            "delivered_s": delivered / seconds,
            **{f"p{round(share * 100)}_ms": percentile_ms(tracker.latencies, share) for share in (0.5, 0.95, 0.99)},
            "cpu_us": sum(cpu.values()) * 1000 / messages,
            "cpu_us_per_delivery": sum(cpu.values()) * 1000 / max(delivered, 1),
            **{f"{name}_cpu_us": spent * 1000 / messages for name, spent in cpu.items()},
            "load_cpu_us": load * 1000 / messages,
            "stolen_pct": proc.stolen_percent(self._stolen, seconds),
            **{f"{name}_pss_mb": proc.pss_mb(pid) for name, pid in self._roots.items()},
        }


async def _online(peer: Peer, users: int, on_body: Callable[[int], OnBody | None]) -> list[Session]:
    """The users' sessions; `on_body(user)` is None for one who only sends."""
    sessions: dict[int, Session] = {}

    async def connect(user: int) -> None:
        listen = on_body(user)
        sessions[user] = await peer.session(user, listen or ignore, receives=listen is not None)

    await each(connect, range(users))
    return [sessions[user] for user in range(users)]


async def _pairs(peer: Peer, size: Size, tracker: Tracker) -> list[Session]:
    """All sessions; user n of the first half writes to user n of the second."""
    half = size.users // 2
    await peer.prepare(size.users)
    sessions = await _online(peer, size.users, lambda user: tracker.arrived if user >= half else None)
    await peer.link(list(zip(sessions[:half], sessions[half:], strict=True)))
    return sessions


async def _end(peer: Peer, tracker: Tracker, sessions: list[Session]) -> Result:
    lost = await tracker.drain()
    stored = await peer.stored()
    for session in sessions:
        await session.close()
    await peer.close()
    return {"lost": lost, "sent": tracker.sent, "stored": stored}


async def pairs(peer: Peer, size: Size) -> Result:
    """W1: each sender keeps a window of messages in flight until they are delivered."""
    tracker = Tracker()
    sessions = await _pairs(peer, size, tracker)
    half = size.users // 2
    live = True

    def sender(user: int) -> Callable[[], None]:
        def again() -> None:
            if live:
                sessions[user].send(half + user, tracker.body(again))

        return again

    for user in range(half):
        for _ in range(size.window):
            sender(user)()
    await asyncio.sleep(size.warmup_s)
    meter = Meter(peer.roots(), tracker)
    meter.start()
    await asyncio.sleep(size.seconds)
    result = meter.stop()
    live = False
    return {**result, "in_flight": half * size.window, **await _end(peer, tracker, sessions)}


async def steady(peer: Peer, size: Size) -> Result:
    """W2: the same pairs at a fixed rate in all, for latency."""
    tracker = Tracker()
    sessions = await _pairs(peer, size, tracker)
    half = size.users // 2
    meter = Meter(peer.roots(), tracker)
    begun, number, measuring = time.perf_counter(), 0, False
    while (now := time.perf_counter() - begun) < size.warmup_s + size.seconds:
        if not measuring and now >= size.warmup_s:
            measuring = True
            meter.start()
        wait = number / size.rate - now
        if wait > 0:
            await asyncio.sleep(wait)
        user = number % half
        sessions[user].send(half + user, tracker.body())
        number += 1
    result = meter.stop()
    return {**result, "rate": size.rate, **await _end(peer, tracker, sessions)}


async def busy(peer: Peer, size: Size) -> Result:
    """The same with 10,000 messages a second offered: latency of a server that is busy, not full."""
    return await steady(peer, Size(users=size.users, rate=10_000, warmup_s=size.warmup_s, seconds=size.seconds))


async def group(peer: Peer, size: Size) -> Result:
    """W3: one group, one sender; a message counts when all others have it."""
    tracker = Tracker(fan=size.members - 1)
    await peer.prepare(size.members)
    sessions = await _online(peer, size.members, lambda user: tracker.arrived if user else None)
    await peer.group(sessions)
    live = True

    def again() -> None:
        if live:
            sessions[0].send_group(tracker.body(again))

    await asyncio.sleep(1)
    for _ in range(size.group_window):
        again()
    await asyncio.sleep(size.warmup_s)
    meter = Meter(peer.roots(), tracker)
    meter.start()
    await asyncio.sleep(size.seconds)
    result = meter.stop()
    live = False
    return {**result, "members": size.members, **await _end(peer, tracker, sessions)}


async def idle(peer: Peer, size: Size) -> Result:
    """W4: sessions that do nothing: memory of each, and CPU to let it in. The first 50 come before, uncounted."""
    await peer.prepare(size.sessions)
    sessions: list[Session] = []

    async def connect(user: int) -> None:
        sessions.append(await peer.session(user, ignore, receives=True))

    first = min(50, size.sessions // 2)
    await each(connect, range(first))
    await asyncio.sleep(2)
    roots, counted = peer.roots(), size.sessions - first
    memory, cpu, stolen, begun = _memory(roots), _cpu(roots), proc.stolen_ms(), time.perf_counter()
    await each(connect, range(first, size.sessions), AT_ONCE_IDLE)
    seconds = time.perf_counter() - begun
    gone = proc.stolen_percent(stolen, seconds)
    await asyncio.sleep(3)  # what follows an admission is part of it
    spent = _cpu(roots) - cpu
    grown = _memory(roots) - memory
    result = {
        "sessions": size.sessions,
        "connect_s": seconds,
        "connect_cpu_us": spent * 1000 / counted,
        "stolen_pct": gone,
        "kb_per_session": grown * 1024 / counted,
        **{f"{name}_pss_mb": proc.pss_mb(pid) for name, pid in roots.items()},
    }
    for session in sessions:
        await session.close()
    await peer.close()
    return result


def _cpu(roots: Mapping[str, int]) -> float:
    return sum(proc.cpu_ms(pid) for pid in roots.values())


def _memory(roots: Mapping[str, int]) -> float:
    return sum(proc.pss_mb(pid) for pid in roots.values())


WORKS: Final[dict[str, Callable[[Peer, Size], Awaitable[Result]]]] = {
    "W1": pairs,
    "W2": steady,
    "10k": busy,
    "W3": group,
    "W4": idle,
}
