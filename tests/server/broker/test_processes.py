"""Processes over a real Valkey: what goes where, what is confirmed, and what a loss does."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
from collections.abc import Awaitable, Callable, Sequence

import pytest
from structlog.testing import capture_logs

from mensajeria.server.broker import redis
from mensajeria.server.broker.broker import ChatNote, DeviceItemNote, EndNote, FrameNote, ItemNote, JoinNote
from mensajeria.server.broker.link import Link
from mensajeria.server.broker.packet import Message, PacketError, Stranger, decode_packet, encode_packet
from mensajeria.server.broker.redis import RedisBroker
from tests.server.broker.conftest import Process
from tests.server.broker.test_contract import NOTES
from tests.support.valkey import ValkeyServer

Begin = Callable[[], Awaitable[Process]]


async def settled(*processes: Process) -> None:
    """Everything published so far has arrived: a note to all follows it."""
    for sender in processes:
        mark = ChatNote(os.urandom(32), ())
        sender.say(mark)
        for one in processes:
            await one.until(lambda p, mark=mark: mark in p.notes)  # type: ignore[misc]
            one.notes.remove(mark)


async def test_a_note_goes_only_where_its_devices_are(over_valkey: Begin) -> None:
    a, b, c = [await over_valkey() for _ in range(3)]
    await b.broker.announce(1, 11)
    await c.broker.announce(2, 21)
    await c.broker.announce(3, 31)
    a.say(
        ItemNote((1, 2, 3, 4), (b"x",), 5), DeviceItemNote(21, b"y"), FrameNote((1,), 15, b"z"), JoinNote(11, b"o" * 8)
    )
    await settled(a, b, c)
    assert b.notes == [ItemNote((1,), (b"x",), 5), FrameNote((1,), 15, b"z"), JoinNote(11, b"o" * 8)]
    assert c.notes == [ItemNote((2, 3), (b"x",), 5), DeviceItemNote(21, b"y")]


async def test_what_may_be_cached_anywhere_goes_to_all(over_valkey: Begin) -> None:
    a, b = [await over_valkey() for _ in range(2)]
    notes = (ChatNote(b"c" * 32, (1,)), EndNote((9,), "login_revoked"))
    a.say(*notes)
    await b.until(lambda p: p.notes == list(notes))


async def test_a_redis_that_refuses_from_the_start_is_told_once(
    valkey_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis, "START_S", 0.2)
    stranger = re.sub("//.*@", "//:wrong@", valkey_url)
    process = Process(RedisBroker(stranger, prefix))
    with capture_logs() as lines:
        await process.start()
        await asyncio.sleep(0.2)
        await process.broker.close()

    assert [(line["event"], line["error"]) for line in lines] == [("redis_away", "AuthenticationError")]


async def test_who_comes_later_learns_who_is_where(over_valkey: Begin) -> None:
    a = await over_valkey()
    await a.broker.announce(1, 11)
    b = await over_valkey()
    b.say(ItemNote((1,), (b"x",)))
    await a.until(lambda p: p.notes == [ItemNote((1,), (b"x",))])
    assert (a.missed, b.missed) == (0, 0)


async def test_a_withdrawn_device_gets_nothing_a_doubled_one_does_until_both_are_gone(over_valkey: Begin) -> None:
    a, b = [await over_valkey() for _ in range(2)]
    for _ in range(2):
        await b.broker.announce(1, 11)
    b.broker.withdraw(1, 11)
    await settled(a, b)
    a.say(ItemNote((1,), (b"still",)))
    await settled(a, b)
    assert b.notes == [ItemNote((1,), (b"still",))]
    b.broker.withdraw(1, 11)
    await settled(a, b)
    a.say(ItemNote((1,), (b"gone",)))
    await settled(a, b)
    assert b.notes == [ItemNote((1,), (b"still",))]


async def test_after_the_announcement_nothing_is_missed(over_valkey: Begin) -> None:
    """Two processes publish without pause; a device comes at a random moment: from then on it has every number."""
    a, b, c = [await over_valkey() for _ in range(3)]
    published = {a: 0, b: 0}
    done = asyncio.Event()

    async def talk(process: Process) -> None:
        while not done.is_set():
            published[process] += 1
            process.say(ItemNote((1,), (f"{id(process)} {published[process]}".encode(),)))
            await asyncio.sleep(0)

    talks = [asyncio.create_task(talk(one)) for one in published]
    for device in range(10):
        await asyncio.sleep(random.uniform(0, 0.01))
        await c.broker.announce(1, device)
        before = dict(published)
        await asyncio.sleep(0.01)
        wanted = {f"{id(one)} {n}".encode() for one in published for n in range(before[one] + 1, published[one] + 1)}
        await c.until(lambda p, wanted=wanted: wanted <= _items(p))  # type: ignore[misc]
        c.broker.withdraw(1, device)
        c.notes.clear()
    done.set()
    await asyncio.gather(*talks)


def _items(process: Process) -> set[bytes]:
    return {item for note in process.notes if isinstance(note, ItemNote) for item in note.items}


async def test_the_order_of_one_publisher_is_kept(over_valkey: Begin) -> None:
    a, b = [await over_valkey() for _ in range(2)]
    await b.broker.announce(1, 11)
    for number in range(2000):
        a.say(ItemNote((1,), (str(number).encode(),)))
        if number % 97 == 0:
            await asyncio.sleep(0)
    await b.until(lambda p: len(p.notes) == 2000)
    assert [item for note in b.notes if isinstance(note, ItemNote) for item in note.items] == [
        str(n).encode() for n in range(2000)
    ]


@pytest.mark.slow
async def test_a_process_that_ends_kindly_costs_nobody_anything_and_says_all_before(over_valkey: Begin) -> None:
    a, b = [await over_valkey() for _ in range(2)]
    await b.broker.announce(1, 11)
    a.say(ItemNote((1,), (b"last words",)))
    await a.broker.close()
    await b.until(lambda p: p.notes == [ItemNote((1,), (b"last words",))])
    await asyncio.sleep(1.5)
    assert b.missed == 0


@pytest.mark.slow
async def test_a_process_that_falls_makes_the_others_catch_up(over_valkey: Begin) -> None:
    a, b = [await over_valkey() for _ in range(2)]
    assert isinstance(b.broker, RedisBroker)
    fallen = b.broker._task
    assert fallen is not None
    fallen.cancel()
    await a.until(lambda p: p.missed == 1, seconds=3)
    await asyncio.wait_for(a.broker.announce(1, 11), 1)  # nobody is waited for who is not there


@pytest.mark.slow
async def test_redis_killed_and_back_everybody_catches_up_and_hears_again(
    over_valkey: Begin, valkey_server: ValkeyServer
) -> None:
    a, b = [await over_valkey() for _ in range(2)]
    await b.broker.announce(1, 11)
    pid = await asyncio.to_thread(valkey_server.pid)
    os.kill(pid, signal.SIGKILL)
    await a.until(lambda p: not p.broker.is_linked)
    await asyncio.wait_for(a.broker.announce(2, 22), 1)  # nobody waits while it is away
    await a.until(lambda p: p.broker.is_linked and p.missed > 0)
    await b.until(lambda p: p.broker.is_linked and p.missed > 0)
    await settled(a, b)
    a.say(ItemNote((1,), (b"to b",)))
    b.say(ItemNote((2,), (b"to a",)))
    await b.until(lambda p: ItemNote((1,), (b"to b",)) in p.notes)
    await a.until(lambda p: ItemNote((2,), (b"to a",)) in p.notes)


async def test_what_is_not_understood_counts_as_lost(over_valkey: Begin, valkey_url: str) -> None:
    """A process of another version may say things that this one cannot read."""
    a = await over_valkey()
    assert isinstance(a.broker, RedisBroker)
    await a.until(lambda p: p.broker.is_linked)
    opened = Link(valkey_url)
    await opened.send([(a.broker._channel(a.broker._name), b"not a packet")])
    await opened.close()
    await a.until(lambda p: p.missed == 1)
    assert a.broker.is_linked


@pytest.mark.slow
async def test_what_is_published_while_redis_is_away_makes_the_others_catch_up(
    over_valkey: Begin, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only one process loses its way to Redis."""
    a, b = [await over_valkey() for _ in range(2)]
    assert isinstance(a.broker, RedisBroker)
    monkeypatch.setattr(a.broker, "_url", "redis://127.0.0.1:1/0")
    opened = Link(valkey_url)
    # The other side's word that it does not know it any more ends the session.
    await opened.send([(a.broker._channel(a.broker._name), encode_packet(b"?" * 8, [Stranger()]))])
    await opened.close()
    await a.until(lambda p: not p.broker.is_linked)
    a.say(ItemNote((1,), (b"nobody hears this",)))
    monkeypatch.setattr(a.broker, "_url", valkey_url)
    await a.until(lambda p: p.broker.is_linked)
    await b.until(lambda p: p.missed > 0)
    assert a.missed == 1


@pytest.mark.slow
async def test_what_a_process_says_after_it_stood_still_makes_the_others_catch_up(
    over_valkey: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others had given it up, and did not wait for it to know of devices that came meanwhile."""
    a, b = [await over_valkey() for _ in range(2)]
    assert isinstance(a.broker, RedisBroker)
    assert isinstance(b.broker, RedisBroker)
    unread: list[list[Message]] = []
    with monkeypatch.context() as standing_still:
        standing_still.setattr(a.broker, "_take", lambda _sender, messages: unread.append(messages))
        b.broker._drop(a.broker._name)
        await b.broker.announce(1, 11)
        a.say(ItemNote((1,), (b"b does not hear this",)))
        missed = b.missed
        await a.until(lambda _: any(Stranger() in messages for messages in unread))
    await b.until(lambda p: p.missed > missed)
    assert b.notes == []


@pytest.mark.slow
async def test_two_that_have_given_each_other_up_find_each_other_again(over_valkey: Begin) -> None:
    """Both stood still, or the way between them did: neither says hello by itself."""
    a, b = [await over_valkey() for _ in range(2)]
    assert isinstance(a.broker, RedisBroker)
    assert isinstance(b.broker, RedisBroker)
    await b.broker.announce(1, 11)
    one, other = a.broker._name, b.broker._name
    a.broker._drop(other)
    b.broker._drop(one)
    missed = a.missed, b.missed
    await a.until(lambda p: p.missed > missed[0])
    await b.until(lambda p: p.missed > missed[1])
    await settled(a, b)
    a.say(ItemNote((1,), (b"again",)))
    await b.until(lambda p: ItemNote((1,), (b"again",)) in p.notes)


@pytest.mark.slow
async def test_a_session_ends_though_the_library_drops_a_cancellation(
    over_valkey: Begin, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `asyncio.wait_for` does up to Python 3.11 when both come together. The session would be over and stay."""
    send, dropped = Link.send, 0

    async def dropping(link: Link, packets: Sequence[tuple[str, bytes]]) -> list[int]:
        nonlocal dropped
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            dropped += 1
        return await send(link, packets)

    a, b = [await over_valkey() for _ in range(2)]
    assert isinstance(a.broker, RedisBroker)
    monkeypatch.setattr(Link, "send", dropping)
    opened = Link(valkey_url)
    for known in range(20):  # until one comes while something is sent
        name = a.broker._name
        await send(opened, [(a.broker._channel(name), encode_packet(b"?" * 8, [Stranger()]))])
        a.say(ChatNote(b"c" * 32, ()))
        await a.until(lambda p, known=known: p.missed > known, seconds=5)  # type: ignore[misc]
        if dropped:
            break
    await opened.close()
    assert dropped
    await settled(a, b)


def test_every_note_survives_the_way() -> None:
    assert decode_packet(encode_packet(b"s" * 8, list(NOTES))) == (b"s" * 8, list(NOTES))


def test_any_bytes_give_a_packet_or_exactly_the_declared_error() -> None:
    generator = random.Random(7)
    whole = encode_packet(b"s" * 8, list(NOTES))
    for _ in range(3000):
        data = bytearray(whole)
        for _ in range(generator.randrange(1, 4)):
            data[generator.randrange(len(data))] = generator.randrange(256)
        try:
            decode_packet(bytes(data[: generator.randrange(1, len(data) + 1)]))
        except PacketError:
            continue
