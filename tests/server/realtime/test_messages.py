"""Messages between devices, through a real server and real sockets."""

from __future__ import annotations

import secrets

import msgspec
from sqlalchemy import select

from mensajeria.protocol.errors import Code
from mensajeria.protocol.frames import (
    Ack,
    Cursor,
    Error,
    Event,
    Events,
    Fetch,
    Head,
    Nack,
    NewChat,
    PeerCursor,
    Sync,
    SyncPage,
    Typing,
)
from mensajeria.protocol.records import MessageOuter
from mensajeria.server.db.schema_chats import device_cursor
from mensajeria.server.realtime.fanout import TICKS_UP_TO
from tests.server.people import insert_device, insert_group
from tests.server.process import World
from tests.server.realtime.device import Device, outer


async def test_a_message_is_acked_and_pushed_byte_for_byte(world: World) -> None:
    ana, bruno, chat_id = await world.pair()
    a, b = await Device.online(world, ana), await Device.online(world, bruno)
    sent = outer(chat_id, 1)
    a.send(sent)
    ack = await a.expect(Ack)
    event = await b.expect(Event)
    assert (ack.chat_id, ack.mid, ack.seq) == (chat_id, sent.mid, 1)
    assert (event.chat_id, event.seq, event.ts) == (chat_id, 1, ack.ts)
    assert msgspec.msgpack.decode(event.body, type=MessageOuter) == sent
    assert await a.is_quiet()  # the sending device itself gets the ack alone


async def test_the_own_other_devices_get_the_message(world: World) -> None:
    ana, _, chat_id = await world.pair()
    tablet = await world.server.db(lambda db: insert_device(db, ana.account_id, ana.uid, world.sealer))
    phone, second = await Device.online(world, ana), await Device.online(world, tablet)
    phone.send(outer(chat_id, 1))
    assert (await second.expect(Event)).seq == 1


async def test_acks_and_events_come_in_the_order_of_the_log(world: World) -> None:
    ana, bruno, chat_id = await world.pair()
    a, b = await Device.online(world, ana), await Device.online(world, bruno)
    for number in range(50):
        a.send(outer(chat_id, number))
        b.send(outer(chat_id, 1000 + number))
    for device in (a, b):
        seqs = [(await device.expect(object)).seq for _ in range(100)]  # type: ignore[attr-defined]
        assert seqs == list(range(1, 101))


async def test_a_retry_gets_the_first_number_and_is_not_pushed_again(world: World) -> None:
    ana, bruno, chat_id = await world.pair()
    a, b = await Device.online(world, ana), await Device.online(world, bruno)
    for _ in range(2):
        a.send(outer(chat_id, 1))
        assert (await a.expect(Ack)).seq == 1
    assert (await b.expect(Event)).seq == 1
    assert await b.is_quiet()


async def test_refusals_name_the_reason_and_store_nothing(world: World) -> None:
    ana, bruno, chat_id = await world.pair()
    stranger = (await world.people(1))[0]
    a, s = await Device.online(world, ana), await Device.online(world, stranger)
    a.send(outer(chat_id, 1))
    await a.expect(Ack)
    a.send(outer(chat_id, 1, b"other"))
    assert (await a.expect(Nack)).code == Code.MID_CONFLICT
    for wrong in (chat_id, bytes(32)):  # the same answer for not being in it and for no such chat
        s.send(outer(wrong, 2))
        assert (await s.expect(Nack)).code == Code.UNKNOWN_CHAT
        s.send(Fetch(7, wrong, 0, 10))
        error = await s.expect(Error)
        assert (error.rid, error.code) == (7, Code.UNKNOWN_CHAT)
    newer = msgspec.structs.replace(outer(chat_id, 3), suite=2)
    a.send(newer)
    assert (await a.expect(Nack)).code == Code.NEWER_VERSION
    a.send(Fetch(1, chat_id, 0, 10))
    assert [one.seq for one in (await a.expect(Events)).events] == [1]
    del bruno


async def test_sync_and_fetch_give_everything_missed(world: World) -> None:
    ana, bruno, chat_id = await world.pair()
    a = await Device.online(world, ana)
    for number in range(30):
        a.send(outer(chat_id, number))
    for _ in range(30):
        await a.expect(Ack)
    b = await Device.online(world, bruno)
    b.send(Sync(1))
    page = await b.expect(SyncPage)
    assert not page.more
    (head,) = page.heads
    assert (head.chat_id, head.last_seq, head.cursor, head.accepted) == (chat_id, 30, 0, True)
    assert set(head.members) == {ana.uid, bruno.uid}
    b.send(Fetch(2, chat_id, 0, 20))
    first = await b.expect(Events)
    b.send(Fetch(3, chat_id, 20, 20))
    second = await b.expect(Events)
    assert [one.seq for one in (*first.events, *second.events)] == list(range(1, 31))
    assert first.last_seq == second.last_seq == 30


async def test_large_events_are_cut_into_answers_that_fit(world: World) -> None:
    ana, _, chat_id = await world.pair()
    a = await Device.online(world, ana)
    for number in range(8):
        a.send(outer(chat_id, number, b"x" * (250 << 10)))
        await a.expect(Ack)
    seen: list[int] = []
    for _ in range(3):  # two large answers at once: the second must not damage the first
        a.send(Fetch(1, chat_id, 0, 500))
    pages = [await a.expect(Events) for _ in range(3)]
    assert pages[0] == pages[1] == pages[2]
    while len(seen) < 8:
        a.send(Fetch(1, chat_id, len(seen), 500))
        page = await a.expect(Events)
        assert page.events
        seen += [one.seq for one in page.events]
    assert seen == list(range(1, 9))


async def test_the_delivered_tick_reaches_the_other_member(world: World) -> None:
    ana, bruno, chat_id = await world.pair()
    a, b = await Device.online(world, ana), await Device.online(world, bruno)
    for number in range(3):
        a.send(outer(chat_id, number))
    await b.expect(Event, lambda event: event.seq == 3)
    b.send(Cursor(chat_id, 3))
    tick = await a.expect(PeerCursor)
    assert (tick.chat_id, tick.uid, tick.seq) == (chat_id, bruno.uid, 3)
    b.send(Cursor(chat_id, 2))  # never back
    b.send(Cursor(chat_id, 1 << 40))  # nor beyond the end of the log
    b.send(Sync(1))
    assert (await b.expect(SyncPage)).heads[0].cursor == 3
    a.send(Sync(1))
    assert (await a.expect(SyncPage)).heads[0].delivered == 3


async def test_a_request_shows_nothing_until_it_is_answered(world: World) -> None:
    ana, bruno, chat_id = await world.pair(accepted=False)
    a, b = await Device.online(world, ana), await Device.online(world, bruno)
    a.send(outer(chat_id, 1))
    await b.expect(Event)
    b.send(Cursor(chat_id, 1))
    b.send(Typing(chat_id, bytes(16), on=True))
    a.send(Typing(chat_id, bytes(16), on=True))
    await a.expect(Ack)
    assert await b.is_quiet()
    b.send(Sync(1))
    assert (await b.expect(SyncPage)).heads[0].accepted is False
    assert await a.is_quiet()
    b.send(outer(chat_id, 2))  # answering accepts
    head: Head = (await a.expect(NewChat)).head
    assert head.chat_id == chat_id
    if not head.delivered:  # the cursor was stored a moment after the answer
        assert (await a.expect(PeerCursor)).seq == 1
    assert (await b.expect(NewChat)).head.accepted is True
    b.send(Typing(chat_id, bytes(16), on=True))
    typing = await a.expect(Typing)
    assert (typing.uid, typing.on) == (bruno.uid, True)


async def test_typing_is_relayed_in_measure(world: World) -> None:
    ana, bruno, chat_id = await world.pair()
    a, b = await Device.online(world, ana), await Device.online(world, bruno)
    for _ in range(200):
        a.send(Typing(chat_id, bytes(16), on=True))
    await a.ping()
    await b.expect(Typing)
    await b.ping()
    assert sum(isinstance(item, Typing) for item in b.items) <= 20


async def test_where_nobody_is_shown_delivered_it_is_not_stored(world: World) -> None:
    ana, bruno, direct = await world.pair()
    others = await world.people(TICKS_UP_TO - 1)
    small, large = secrets.token_bytes(32), secrets.token_bytes(32)
    await world.server.db(lambda db: insert_group(db, small, [ana, bruno, *others[:-1]]))
    await world.server.db(lambda db: insert_group(db, large, [ana, bruno, *others]))
    a, b = await Device.online(world, ana), await Device.online(world, bruno)
    for chat_id in (large, small, direct):
        a.send(outer(chat_id, 1))
        await b.expect(Event)
        b.send(Cursor(chat_id, 1))

    told = {(await a.expect(PeerCursor)).chat_id for _ in range(2)}

    assert told == {small, direct}
    own = select(device_cursor.c.seq).where(device_cursor.c.device == bruno.device_id)
    rows = await world.server.db(lambda db: db.execute(own).scalars().all(), write=False)
    assert list(rows) == [1, 1]
