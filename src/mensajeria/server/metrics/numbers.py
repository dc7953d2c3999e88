"""The numbers of one process that are observed as they happen. Everything else is read when somebody asks.

What happens per message is counted by its own part in a plain integer (see `collect`); a histogram is observed once per
request, per commit of a whole batch or per second, never per message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from mensajeria.protocol.records import MessageOuter
from mensajeria.server.chats.log import EventLog, NewEvent, Outcome

T = TypeVar("T")
SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
ITEMS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
LAG_S: Final = 0.5


class Numbers:
    """Made before anything that is measured; passed to it."""

    def __init__(self) -> None:
        self.registry: Final = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._requests = self._histogram("http_request_seconds", "REST requests.", "method", "route", "status")
        self._commits = self._histogram("event_commit_seconds", "Committing one batch of messages.")
        self._batches = Histogram(
            "mensajeria_event_batch_messages", "Messages in one commit.", buckets=ITEMS, registry=self.registry
        )
        self._writes = self._histogram("database_write_seconds", "Other transactions that write, waiting included.")
        self._fanout = self._histogram("fanout_seconds", "Handing one committed batch to connections and broker.")
        self._frames = self._histogram("frame_seconds", "Frames, from their arrival to the answer.", "kind")
        self._redis = self._histogram("redis_seconds", "What is asked of Redis.", "use")
        self._lag = self._histogram("event_loop_lag_seconds", "How late the event loop wakes a timer.")

    def _histogram(self, name: str, meaning: str, *labels: str) -> Histogram:
        return Histogram(f"mensajeria_{name}", meaning, labels, buckets=SECONDS, registry=self.registry)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """A REST request was answered. `route` is a template or "-"."""
        self._requests.labels(method, route, str(status)).observe(seconds)

    def write(self, seconds: float) -> None:
        """A transaction other than a batch of messages has ended."""
        self._writes.observe(seconds)

    def event_log(self, event_log: EventLog, now_ms: Callable[[], int]) -> EventLog:
        """The same log, observed. Of a batch, the message that has waited longest counts as a frame."""
        arrived_to_commit = self._frames.labels(MessageOuter.__name__).observe
        return _ObservedLog(event_log, self._commits.observe, self._batches.observe, arrived_to_commit, now_ms)

    def frame(self, kind: type, answer: Callable[[], Awaitable[T]]) -> Callable[[], Awaitable[T]]:
        """The same answer to a frame that has just come, timed."""
        arrived = perf_counter()

        async def timed() -> T:
            try:
                return await answer()
            finally:
                self._frames.labels(kind.__name__).observe(perf_counter() - arrived)

        return timed

    def redis(self, use: str) -> Callable[[float], None]:
        """What observes the seconds that one use of Redis took."""
        return self._redis.labels(use).observe

    def fanout(self, hand_out: Callable[..., None]) -> Callable[..., None]:
        """The same function, timed."""
        observe = self._fanout.observe

        def timed(*arguments: object) -> None:
            started = perf_counter()
            try:
                hand_out(*arguments)
            finally:
                observe(perf_counter() - started)

        return timed

    async def watch_loop(self) -> None:
        """Observe the event loop's lag until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_S
            await asyncio.sleep(LAG_S)
            self._lag.observe(max(0.0, loop.time() - due))


class _ObservedLog:
    """See `EventLog`. Failed appends count, too: a slow failure is what one looks for."""

    def __init__(
        self,
        event_log: EventLog,
        seconds: Callable[[float], None],
        messages: Callable[[float], None],
        waited: Callable[[float], None],
        now_ms: Callable[[], int],
    ) -> None:
        self._event_log = event_log
        self._seconds = seconds
        self._messages = messages
        self._waited = waited
        self._now_ms = now_ms
        self.locked = event_log.locked
        self.close = event_log.close

    async def append(self, events: Sequence[NewEvent]) -> list[Outcome]:
        """See `EventLog.append`."""
        started = perf_counter()
        try:
            return await self._event_log.append(events)
        finally:
            self._seconds(perf_counter() - started)
            self._messages(len(events))
            self._waited((self._now_ms() - events[0].ts) / 1000)
