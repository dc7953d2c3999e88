"""Event streams: every consumer gets everything in order, and a slow one is told what it lost."""

from __future__ import annotations

import asyncio

from mensajeria.client.api import ConnectionChanged, ConnectionPhase, Event, EventsLost
from mensajeria.client.engine.emitter import Emitter


def event(number: int) -> Event:
    return ConnectionChanged(ConnectionPhase.ONLINE, retry_at_ms=number)


def numbers(events: tuple[Event, ...]) -> list[int]:
    return [e.retry_at_ms for e in events if isinstance(e, ConnectionChanged)]


async def test_each_consumer_receives_everything_from_its_start_on() -> None:
    emitter = Emitter()
    first = emitter.stream()
    emitter.emit(event(1))
    second = emitter.stream()
    emitter.emit(event(2), event(3))
    assert numbers(await first.next_batch()) == [1, 2, 3]
    assert numbers(await second.next_batch()) == [2, 3]


async def test_iteration_waits_and_ends_when_the_client_closes() -> None:
    emitter = Emitter()
    stream = emitter.stream()

    async def consume() -> list[Event]:
        return [got async for got in stream]

    task = asyncio.create_task(consume())
    await asyncio.sleep(0)
    for number in range(5):
        emitter.emit(event(number))
        await asyncio.sleep(0)
    emitter.emit(event(5))
    emitter.end()
    assert numbers(tuple(await task)) == [0, 1, 2, 3, 4, 5]
    assert await emitter.stream().next_batch() == ()


async def test_a_slow_consumer_loses_visibly_and_only_its_own() -> None:
    emitter = Emitter()
    slow, fast = emitter.stream(limit=3), emitter.stream()
    emitter.emit(*(event(n) for n in range(10)))
    batch = await slow.next_batch()
    assert numbers(batch) == [0, 1, 2]
    assert batch[-1] == EventsLost(7)
    emitter.emit(event(10))
    assert numbers(await slow.next_batch()) == [10]
    assert numbers(await fast.next_batch()) == list(range(11))


async def test_the_loss_stands_where_it_happened() -> None:
    emitter = Emitter()
    stream = emitter.stream(limit=2)
    emitter.emit(event(0), event(1), event(2))
    assert await anext(stream) == event(0)
    assert await anext(stream) == event(1)
    assert await anext(stream) == EventsLost(1)


async def test_a_closed_stream_costs_nothing_more() -> None:
    emitter = Emitter()
    stream = emitter.stream()
    stream.close()
    emitter.emit(event(1))
    assert await stream.next_batch() == ()
    assert emitter._streams == []
