"""The contract of the mailboxes' rows, on both databases."""

from __future__ import annotations

import asyncio
import os

import pytest
from sqlalchemy import select, update

from mensajeria.kit.clock import FakeClock
from mensajeria.protocol import limits
from mensajeria.protocol.frames import PutOutcome, PutTarget
from mensajeria.server.db.schema import device
from mensajeria.server.mailbox import store as rows
from mensajeria.server.mailbox.service import Mailboxes
from mensajeria.server.mailbox.store import Put
from tests.server.people import PREKEY_ID, Person
from tests.server.storage.conftest import POSTGRESQL, Store, void


def put_to(sender: Person, receiver: Person, blob: bytes = b"blob") -> Put:
    return Put(sender.account_id, receiver.did, PREKEY_ID, blob)


async def state(store: Store, person: Person) -> tuple[int, int]:
    statement = select(device.c.mail_seq, device.c.mail_bytes).where(device.c.id == person.device_id)
    row = await store.db.query(lambda db: db.execute(statement).one())
    return row.mail_seq, row.mail_bytes


async def test_ids_grow_and_are_never_given_twice(store: Store) -> None:
    ana, bruno, *_ = store.people
    for _ in range(2):
        puts = [put_to(ana, bruno), put_to(ana, bruno)]
        await store.db.write(lambda db, puts=puts: rows.put(db, puts, 1))  # type: ignore[misc]
        page = await store.db.query(lambda db: rows.page(db, bruno.device_id, 0))
        assert [one.id for one in page] == [puts[0].id, puts[1].id]
        await store.db.write(lambda db, page=page: rows.ack(db, bruno.device_id, [one.id for one in page]))  # type: ignore[misc]
    assert await state(store, bruno) == (4, 0)


async def test_of_the_counts_that_a_device_shows_the_highest_is_kept(store: Store) -> None:
    ana, bruno, *_ = store.people
    puts = [Put(ana.account_id, bruno.did, PREKEY_ID, b"blob", ana.did, gen) for gen in (7, 8, 6)]
    await store.db.write(lambda db: rows.put(db, puts, 1))
    assert [one.rolled_back for one in puts] == [False, False, True]
    kept = await store.db.query(
        lambda db: db.execute(select(device.c.gen).where(device.c.id == ana.device_id)).scalar_one()
    )
    assert (kept, (await state(store, bruno))[0]) == (8, 2)


@pytest.mark.slow
async def test_concurrent_puts_commit_in_the_order_of_their_ids(store: Store) -> None:
    """A reader that remembers the last id it saw must never miss a lower one that is committed later."""
    ana, bruno, *_ = store.people
    done = asyncio.Event()

    async def writer() -> None:
        for _ in range(40):
            await store.db.write(lambda db: rows.put(db, [put_to(ana, bruno)], 1))

    async def writers() -> None:
        await asyncio.gather(*(writer() for _ in range(4)))
        done.set()

    async def page_after(after: int) -> list[int]:
        page = await store.db.query(lambda db: rows.page(db, bruno.device_id, after))
        return [one.id for one in page]

    async def reader() -> list[int]:
        seen: list[int] = []
        while True:
            finished = done.is_set()
            page = await page_after(seen[-1] if seen else 0)
            seen += page
            if finished and not page:
                return seen

    _, seen = await asyncio.gather(writers(), reader())
    assert seen == list(range(1, 161))


async def test_an_ack_removes_only_what_it_names_and_only_of_its_device(store: Store) -> None:
    ana, bruno, carla, _ = store.people
    puts = [put_to(ana, bruno, b"1"), put_to(ana, bruno, b"22"), put_to(ana, carla, b"333")]
    await store.db.write(lambda db: rows.put(db, puts, 1))
    await store.db.write(lambda db: rows.ack(db, bruno.device_id, [1, 99]))
    assert [one.blob for one in await store.db.query(lambda db: rows.page(db, bruno.device_id, 0))] == [b"22"]
    assert [one.blob for one in await store.db.query(lambda db: rows.page(db, carla.device_id, 0))] == [b"333"]
    assert await state(store, bruno) == (2, 2)
    await store.db.write(lambda db: rows.ack(db, bruno.device_id, [1, 2]))
    assert await state(store, bruno) == (2, 0)


async def test_a_full_mailbox_refuses_by_bytes_and_takes_again_after_acks(store: Store) -> None:
    ana, bruno, *_ = store.people
    nearly = update(device).where(device.c.id == bruno.device_id).values(mail_bytes=limits.MAILBOX_BYTES - 5)
    await store.db.write(lambda db: void(db.execute(nearly)))
    puts = [put_to(ana, bruno, b"12345"), put_to(ana, bruno, b"6")]
    await store.db.write(lambda db: rows.put(db, puts, 1))
    assert [one.outcome for one in puts] == [PutOutcome.OK, PutOutcome.QUOTA]
    await store.db.write(lambda db: rows.ack(db, bruno.device_id, [1]))
    await store.db.write(lambda db: rows.put(db, puts[1:], 1))
    assert puts[1].outcome is PutOutcome.OK


async def test_old_envelopes_expire_and_free_their_bytes(store: Store) -> None:
    ana, bruno, *_ = store.people
    await store.db.write(lambda db: rows.put(db, [put_to(ana, bruno, b"old")], 1000))
    await store.db.write(lambda db: rows.put(db, [put_to(ana, bruno, b"young")], 2000))
    assert await store.db.write(lambda db: rows.expire(db, 2000)) == 1
    assert [one.blob for one in await store.db.query(lambda db: rows.page(db, bruno.device_id, 0))] == [b"young"]
    assert await state(store, bruno) == (2, 5)


async def test_outcomes_come_after_the_commit_and_arrivals_in_order(store: Store) -> None:
    ana, bruno, _, dora = store.people
    arrived: list[int] = []
    boxes = Mailboxes(store.db, FakeClock(), lambda puts: arrived.extend(one.id for one in puts))
    boxes.start()
    targets = [PutTarget(bruno.did, PREKEY_ID, b"x"), PutTarget(dora.did, PREKEY_ID, b"x")]
    results = await asyncio.gather(*(boxes.put(ana.account_id, ana.did, 0, targets) for _ in range(20)))
    assert set(results) == {(PutOutcome.OK, PutOutcome.REFUSED)}
    assert arrived == list(range(1, 21))
    assert [one.id for one in await boxes.page(bruno.device_id, 0)] == arrived
    await boxes.close()


@pytest.mark.parametrize("count", [limits.MAILBOX_PER_DAY])
async def test_the_allowance_is_new_every_day(store: Store, count: int) -> None:
    ana, bruno, *_ = store.people
    clock = FakeClock()
    boxes = Mailboxes(store.db, clock, lambda _puts: None)
    boxes.start()
    target = [PutTarget(bruno.did, PREKEY_ID, b"x")] * 64
    outcomes = [one for _ in range(count // 64 + 1) for one in await boxes.put(ana.account_id, ana.did, 0, target)]
    assert outcomes.count(PutOutcome.OK) == count
    assert outcomes[-1] is PutOutcome.QUOTA
    clock.advance(24 * 3600)
    assert await boxes.put(ana.account_id, ana.did, 0, target[:1]) == (PutOutcome.OK,)
    await boxes.close()


async def test_invented_receivers_take_no_memory(store: Store) -> None:
    ana, bruno, *_ = store.people
    boxes = Mailboxes(store.db, FakeClock(), lambda _puts: None)
    boxes.start()
    invented = [PutTarget(os.urandom(16), PREKEY_ID, b"x") for _ in range(64)]
    assert set(await boxes.put(ana.account_id, ana.did, 0, invented)) == {PutOutcome.STALE}
    assert len(boxes.allowance) == 0
    await boxes.put(ana.account_id, ana.did, 0, [PutTarget(bruno.did, PREKEY_ID, b"x"), *invented[:1]])
    assert len(boxes.allowance) == 1
    await boxes.close()


@pytest.mark.parametrize("database_url", POSTGRESQL, indirect=True)
async def test_what_two_processes_remove_at_once_is_freed_once(store: Store) -> None:
    ana, bruno, *_ = store.people
    await store.db.write(lambda db: rows.put(db, [put_to(ana, bruno), put_to(ana, bruno)], 1))
    async with store.db.read() as other:  # a transaction; this one is committed by hand
        assert await other.run_sync(lambda db: rows.expire(db, 2)) == 2
        second = asyncio.create_task(store.db.write(lambda db: rows.expire(db, 2)))
        await asyncio.sleep(0.1)
        await other.commit()
    assert await second == 0
    assert (await state(store, bruno))[1] == 0
