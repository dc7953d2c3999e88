"""Events for any number of consumers, each with its own bounded queue: a slow one loses only its own, and is told."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Final, Self

from mensajeria.client.api import Event, EventsLost

QUEUE_LIMIT: Final = 20_000


class EventStream:
    """What one consumer reads: `async for event in stream`, or `next_batch()` for everything that is there.

    It receives from the moment it was made. For one reading task.
    """

    def __init__(self, emitter: Emitter, limit: int) -> None:
        self._emitter = emitter
        self._limit = limit
        self._queue: deque[Event] = deque()
        self._lost = 0
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None

    async def next_batch(self) -> tuple[Event, ...]:
        """Everything that is waiting, at least one event; empty when the client was closed."""
        while not self._queue and not self._lost and not self._ended:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self._note_loss()
        batch = tuple(self._queue)
        self._queue.clear()
        return batch

    async def __anext__(self) -> Event:
        """The next event."""
        if not self._queue:
            batch = await self.next_batch()
            if not batch:
                raise StopAsyncIteration
            self._queue.extend(batch)
        return self._queue.popleft()

    def __aiter__(self) -> Self:
        return self

    def close(self) -> None:
        """Stop receiving."""
        self._emitter.drop(self)
        self.end()

    def put(self, events: Iterable[Event]) -> None:
        """Take events from the emitter."""
        for event in events:
            if len(self._queue) >= self._limit:
                self._lost += 1
            else:
                self._note_loss()
                self._queue.append(event)
        self._wake()

    def end(self) -> None:
        """No event will follow."""
        self._ended = True
        self._wake()

    def _note_loss(self) -> None:
        if self._lost:
            self._queue.append(EventsLost(self._lost))
            self._lost = 0

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Emitter:
    """Where the client puts its events; never waits for a consumer."""

    def __init__(self) -> None:
        self._streams: list[EventStream] = []
        self._ended = False

    def stream(self, limit: int = QUEUE_LIMIT) -> EventStream:
        """A new consumer's stream."""
        made = EventStream(self, limit)
        if self._ended:
            made.end()
        else:
            self._streams.append(made)
        return made

    def emit(self, *events: Event) -> None:
        """Give events to every consumer, in order."""
        if events:
            for stream in self._streams:
                stream.put(events)

    def drop(self, stream: EventStream) -> None:
        """Forget a consumer."""
        if stream in self._streams:
            self._streams.remove(stream)

    def end(self) -> None:
        """The client closes: consumers see the end after what they have not read yet."""
        self._ended = True
        for stream in self._streams:
            stream.end()
        self._streams.clear()
