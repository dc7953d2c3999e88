"""The contract of `EventLog`, on both databases."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence

import msgspec
import pytest
from sqlalchemy import Executable, select, text, update

from mensajeria.protocol.frames import Event
from mensajeria.server.chats import log, repository
from mensajeria.server.chats.cache import ChatCache, ChatInfo
from mensajeria.server.chats.committer import EventCommitter, Pending
from mensajeria.server.chats.log import BatchRefusedError, NewEvent, Outcome
from mensajeria.server.chats.log_postgres import APPEND_NEW, APPEND_ONE, CAREFUL
from mensajeria.server.db.schema_chats import chat, chat_member, event
from tests.server.storage.conftest import POSTGRESQL, Store, message, void


async def stored(store: Store, chat_row: int) -> list[tuple[int, bytes]]:
    rows_of_chat = select(event.c.seq, event.c.mid).where(event.c.chat == chat_row).order_by(event.c.seq)
    rows = await store.db.query(lambda db: db.execute(rows_of_chat).all())
    return [(row.seq, row.mid) for row in rows]


async def last_seq(store: Store, chat_row: int) -> int:
    statement = select(chat.c.last_seq).where(chat.c.id == chat_row)
    return await store.db.query(lambda db: db.execute(statement).scalar_one())


async def run(store: Store, statement: Executable) -> None:
    await store.db.write(lambda db: void(db.execute(statement)))


async def test_rows_are_numbered_in_order_per_chat(store: Store) -> None:
    (a, _), (b, _), _ = store.chats
    outcomes = await store.log().append([message(a, 1), message(b, 2), message(a, 3)])
    assert outcomes == [(log.NEW, 1, 1000), (log.NEW, 1, 1000), (log.NEW, 2, 1000)]
    assert await stored(store, a) == [(1, (1).to_bytes(16, "big")), (2, (3).to_bytes(16, "big"))]
    assert await last_seq(store, a) == 2


async def test_no_rows_are_no_outcomes(store: Store) -> None:
    assert await store.log().append([]) == []


async def test_the_same_bytes_again_give_the_first_number_and_time(store: Store) -> None:
    a = store.chats[0][0]
    events = store.log()
    await events.append([message(a, 1), message(a, 2)])
    again = await events.append([message(a, 2, ts=2000), message(a, 3, ts=2000), message(a, 1, ts=2000)])
    assert again == [(log.KNOWN, 2, 1000), (log.NEW, 3, 2000), (log.KNOWN, 1, 1000)]
    assert await last_seq(store, a) == 3


async def test_other_bytes_under_a_known_mid_are_refused(store: Store) -> None:
    a = store.chats[0][0]
    events = store.log()
    await events.append([message(a, 1)])
    outcomes = await events.append([message(a, 1, b"other"), message(a, 2)])
    assert [outcome[:2] for outcome in outcomes] == [(log.MID_CONFLICT, 1), (log.NEW, 2)]


async def test_the_same_mid_in_another_chat_is_another_message(store: Store) -> None:
    (a, _), (b, _), _ = store.chats
    outcomes = await store.log().append([message(a, 1), message(b, 1)])
    assert [outcome[:2] for outcome in outcomes] == [(log.NEW, 1), (log.NEW, 1)]


async def test_a_retry_of_an_erased_row_is_known(store: Store) -> None:
    a = store.chats[0][0]
    events = store.log()
    await events.append([message(a, 1)])
    await run(store, update(event).where(event.c.chat == a).values(kind=2, body=b"t"))
    assert await events.append([message(a, 1, ts=2000)]) == [(log.KNOWN, 1, 1000)]


async def test_a_stale_epoch_is_refused_and_takes_no_number(store: Store) -> None:
    a = store.chats[0][0]
    events = store.log()
    await events.append([message(a, 1)])
    await run(store, update(chat).where(chat.c.id == a).values(epoch=5))
    outcomes = await events.append([message(a, 2, epoch=4), message(a, 3, epoch=5), message(a, 1, epoch=0)])
    assert [outcome[:2] for outcome in outcomes] == [(log.STALE_EPOCH, 0), (log.NEW, 2), (log.KNOWN, 1)]
    assert await last_seq(store, a) == 2


async def test_a_chat_that_does_not_exist(store: Store) -> None:
    outcomes = await store.log().append([message(999_999, 1), message(store.chats[0][0], 1)])
    assert [outcome[:2] for outcome in outcomes] == [(log.UNKNOWN_CHAT, 0), (log.NEW, 1)]


async def test_writing_into_a_request_accepts_it(store: Store) -> None:
    request = store.chats[2][0]
    receiver = store.people[2].account_id

    async def accepted() -> bool:
        statement = select(chat_member.c.accepted).where(
            chat_member.c.chat == request, chat_member.c.account == receiver
        )
        return bool(await store.db.query(lambda db: db.execute(statement).scalar_one()))

    events = store.log()
    await run(store, update(chat).where(chat.c.id == request).values(epoch=1))
    await events.append([message(request, 1, epoch=0, accepts=receiver)])
    assert not await accepted()  # a refused row accepts nothing
    await events.append([message(request, 2, epoch=1, accepts=receiver)])
    assert await accepted()


async def test_concurrent_flushers_leave_no_gap_and_store_nothing_twice(store: Store) -> None:
    """Four writers with overlapping messages over three chats, in random order."""
    rows = [row for row, _ in store.chats]
    messages = [message(random.choice(rows), number) for number in range(300)]

    async def writer() -> list[Outcome]:
        events, outcomes = store.log(), []
        mine = random.sample(messages, 200)
        for start in range(0, len(mine), 17):
            outcomes += await events.append(mine[start : start + 17])
        return outcomes

    results = await asyncio.gather(*(writer() for _ in range(4)))
    assert all(outcome[0] in {log.NEW, log.KNOWN} for outcomes in results for outcome in outcomes)
    numbers = sum(outcome[0] == log.NEW for outcomes in results for outcome in outcomes)
    everything = [await stored(store, row) for row in rows]
    assert sum(map(len, everything)) == numbers
    for row, content in zip(rows, everything, strict=True):
        assert [seq for seq, _ in content] == list(range(1, len(content) + 1))
        assert len({mid for _, mid in content}) == len(content)
        assert await last_seq(store, row) == len(content)


@pytest.mark.slow
async def test_a_reader_never_skips_a_row_while_others_commit(store: Store) -> None:
    row, chat_id = store.chats[0]
    total = 600
    done = asyncio.Event()

    async def writer(part: int) -> None:
        events = store.log()
        for number in range(part, total, 3):
            await events.append([message(row, number)])

    async def read(after: int) -> tuple[int, tuple[Event, ...]]:
        return await store.db.query(lambda db: repository.events_after(db, row, chat_id, after, 50))

    async def reader() -> list[int]:
        seen: list[int] = []
        while True:
            finished = done.is_set()
            after = seen[-1] if seen else 0
            end, events = await read(after)
            seen += [one.seq for one in events]
            assert not events or events[0].seq == after + 1
            if finished and not events and end == (seen[-1] if seen else 0):
                return seen

    async def writers() -> None:
        await asyncio.gather(*(writer(part) for part in range(3)))
        done.set()

    _, seen = await asyncio.gather(writers(), reader())
    assert seen == list(range(1, total + 1))


async def refuse_bodies(store: Store, body: bytes) -> None:
    """Make the database itself refuse one body."""
    condition = f"'\\x{body.hex()}'::bytea" if not store.db.is_sqlite else f"x'{body.hex()}'"
    if store.db.is_sqlite:
        statement = (
            f"CREATE TRIGGER poison BEFORE INSERT ON event WHEN NEW.body = {condition} "
            "BEGIN SELECT RAISE(ABORT, 'poison'); END"
        )
    else:
        statement = f"ALTER TABLE event ADD CONSTRAINT poison CHECK (body <> {condition})"
    await run(store, text(statement))


async def test_a_batch_that_the_database_refuses_stores_nothing(store: Store) -> None:
    a = store.chats[0][0]
    await refuse_bodies(store, b"poison")
    events = store.log()
    with pytest.raises(BatchRefusedError):
        await events.append([message(a, 1), message(a, 2, b"poison")])
    assert await stored(store, a) == []
    assert await events.append([message(a, 1)]) == [(log.NEW, 1, 1000)]


class Run:
    """A committer with what it reported."""

    def __init__(self, store: Store, *, max_batch: int = 1024) -> None:
        self.results: list[tuple[NewEvent, Outcome]] = []
        self.committer = EventCommitter(store.log(), self._committed, max_batch=max_batch)
        self.batches = 0

    def _committed(self, batch: Sequence[Pending], outcomes: Sequence[Outcome], again: bool) -> None:
        self.batches += 1
        self.results += [(pending.event, outcome) for pending, outcome in zip(batch, outcomes, strict=True)]

    def has(self, count: int) -> Callable[[], bool]:
        """Whether so much was reported."""
        return lambda: len(self.results) == count

    async def more(self, info: ChatInfo, events: Sequence[NewEvent]) -> list[Outcome]:
        """Send on a committer that runs, and close it."""
        before = len(self.results)
        for one in events:
            self.committer.submit(Pending(one, info, None))
        await self.committer.close()
        return [outcome for _, outcome in self.results[before:]]

    async def send(self, info: ChatInfo, events: Sequence[NewEvent]) -> list[Outcome]:
        self.committer.start()
        for one in events:
            self.committer.submit(Pending(one, info, None))
        await self.committer.close()
        return [outcome for _, outcome in self.results]


async def info_of(store: Store, chat_id: bytes) -> ChatInfo:
    info = await ChatCache(store.db).load(chat_id)
    assert info is not None
    return info


@pytest.mark.allow_log_errors
async def test_one_refused_row_fails_alone(store: Store) -> None:
    row, chat_id = store.chats[0]
    await refuse_bodies(store, b"poison")
    events = [message(row, number, b"poison" if number == 37 else None) for number in range(100)]
    runner = Run(store)
    outcomes = await runner.send(await info_of(store, chat_id), events)
    assert [outcome[0] for outcome in outcomes] == [log.FAILED if n == 37 else log.NEW for n in range(100)]
    assert [seq for _, seq, _ in outcomes if seq] == list(range(1, 100))
    assert await last_seq(store, row) == 99


async def test_a_repeat_within_one_batch_is_known_or_in_conflict(store: Store) -> None:
    row, chat_id = store.chats[0]
    runner = Run(store)
    repeats = [message(row, 1), message(row, 1), message(row, 2), message(row, 1, b"x")]
    await runner.send(await info_of(store, chat_id), repeats)
    by_body = [(one.body[:1], outcome[:2]) for one, outcome in runner.results]
    assert sorted(by_body) == sorted(
        [(b"b", (log.NEW, 1)), (b"b", (log.NEW, 2)), (b"b", (log.KNOWN, 1)), (b"x", (log.MID_CONFLICT, 1))]
    )


async def test_what_waits_is_committed_together(store: Store) -> None:
    row, chat_id = store.chats[0]
    runner = Run(store)
    await runner.send(await info_of(store, chat_id), [message(row, number) for number in range(1000)])
    assert runner.batches <= 2
    assert await last_seq(store, row) == 1000


@pytest.mark.parametrize("database_url", POSTGRESQL, indirect=True)
async def test_the_log_may_be_partitioned_by_chat(store: Store) -> None:
    """Every key of `event` begins with the chat: an operator may split the table, and nothing notices."""
    parts = [f"CREATE TABLE event_{n} PARTITION OF event FOR VALUES WITH (MODULUS 4, REMAINDER {n})" for n in range(4)]
    for statement in (
        "ALTER TABLE event RENAME TO event_whole",
        "CREATE TABLE event (LIKE event_whole INCLUDING ALL) PARTITION BY HASH (chat)",
        *parts,
    ):
        await run(store, text(statement))

    (a, _), (b, _), _ = store.chats
    rows = [message(a if n % 3 else b, n) for n in range(1, 40)]
    first = await store.log().append(rows)
    assert {status for status, _, _ in first} == {log.NEW}
    assert [(status, seq) for status, seq, _ in await store.log().append(rows)] == [(log.KNOWN, o[1]) for o in first]
    assert [seq for seq, _ in await stored(store, a)] == list(range(1, 27))
    await refuse_bodies(store, b"poison")
    with pytest.raises(BatchRefusedError):
        await store.log().append([message(a, 100, b"poison")])


@pytest.mark.parametrize("database_url", POSTGRESQL, indirect=True)
async def test_new_rows_are_not_looked_for(store: Store) -> None:
    a = store.chats[0][0]
    events = store.log()
    await events.append([message(a, 1), message(a, 2)])
    await run(store, text("DROP FUNCTION append_events"))
    new = [(log.NEW, 3, 1000), (log.NEW, 4, 1000)]
    assert await events.append([message(a, 3), message(a, 4)]) == new
    with pytest.raises(BatchRefusedError):  # the careful way is gone
        await events.append([message(a, 4), message(a, 5)])


@pytest.mark.parametrize("database_url", POSTGRESQL, indirect=True)
async def test_a_row_that_is_alone_is_not_looked_for(store: Store) -> None:
    a = store.chats[0][0]
    events = store.log()
    await events.append([message(a, 1)])
    await run(store, text("DROP FUNCTION append_events"))
    assert await events.append([message(a, 2, b"two")]) == [(log.NEW, 2, 1000)]
    assert await stored(store, a) == [(1, message(a, 1).mid), (2, message(a, 2).mid)]
    for refused in (message(a, 2), message(10**6, 3), msgspec.structs.replace(message(a, 4), epoch=-1)):
        with pytest.raises(BatchRefusedError):
            await events.append([refused])
    assert await last_seq(store, a) == 2


@pytest.mark.parametrize("database_url", POSTGRESQL, indirect=True)
async def test_rows_that_are_alone_in_several_processes_have_no_gap(store: Store) -> None:
    a = store.chats[0][0]
    logs = [store.log() for _ in range(4)]

    async def send(number: int) -> list[int]:
        return [(await logs[number].append([message(a, 100 * number + n)]))[0][1] for n in range(25)]

    seqs = await asyncio.gather(*map(send, range(4)))
    assert sorted(seq for each in seqs for seq in each) == list(range(1, 101))
    assert all(each == sorted(each) for each in seqs)


@pytest.mark.parametrize("database_url", POSTGRESQL, indirect=True)
async def test_the_chat_of_a_row_that_is_alone_is_found_by_its_key(store: Store) -> None:
    rows = await store.db.look_up("EXPLAIN " + APPEND_ONE, 1, 0, 0, 0, bytes(16), b"")
    plan = "\n".join(row[0] for row in rows)
    assert "Index Scan using pk_chat" in plan
    assert "Seq Scan" not in plan


@pytest.mark.parametrize("database_url", POSTGRESQL, indirect=True)
async def test_the_chats_of_a_batch_are_found_by_their_keys_in_the_order_of_the_batch(store: Store) -> None:
    numbers = ["{1,2,3}", "{1,1,1}", "{0,0,0}", "{0,0,0}"]
    rows = ["{1,2,3}", "{1,1,1}", "{0,0,0}", "{0,0,0}", "{0,0,0}", "{0,0,0}"]
    plan = await store.db.look_up("EXPLAIN " + APPEND_NEW, *numbers, 3, *rows, bytes(48), b"")
    steps = [row[0].strip() for row in plan]
    joined = next(at for at, step in enumerate(steps) if "Nested Loop" in step and "Update on chat" in steps[at - 1])
    assert "Function Scan on b" in steps[joined + 1]
    assert "Index Scan using pk_chat" in steps[joined + 2]
    assert not any("Seq Scan" in step for step in steps)


@pytest.mark.parametrize("database_url", POSTGRESQL, indirect=True)
async def test_batches_of_several_processes_never_wait_for_each_other_in_a_circle(store: Store) -> None:
    chats = [row for row, _ in store.chats]
    logs = [store.log() for _ in range(3)]
    told = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"

    async def send(number: int) -> None:
        order = chats[::-1] if number % 2 else chats
        for batch in range(20):
            mids = 1000 * number + 10 * batch
            await logs[number].append([message(chat, mids + at) for at, chat in enumerate(order)])

    await asyncio.gather(*map(send, range(3)))
    assert [await last_seq(store, chat) for chat in chats] == [60] * len(chats)
    assert await store.db.query(lambda db: db.execute(text(told)).scalar_one()) == 0


@pytest.mark.parametrize("database_url", POSTGRESQL, indirect=True)
async def test_after_a_row_that_was_not_new_the_next_batches_are_judged_at_once(store: Store) -> None:
    a = store.chats[0][0]
    events = store.log()
    await events.append([message(a, 1)])
    await events.append([message(a, 1)])
    await run(store, text("DROP FUNCTION append_events"))
    both = [message(a, 2), message(a, 3)]
    for _ in range(CAREFUL - 1):
        with pytest.raises(BatchRefusedError):
            await events.append(both)
    assert await events.append(both) == [(log.NEW, 2, 1000), (log.NEW, 3, 1000)]


@pytest.mark.parametrize("database_url", POSTGRESQL, indirect=True)
@pytest.mark.parametrize("sizes", [(0, 1, 16_000), (1,), (0,), (300,) * 40])
async def test_bodies_of_any_size_come_back_as_they_were(store: Store, sizes: Sequence[int]) -> None:
    row, chat_id = store.chats[0]
    bodies = [bytes([number]) * size for number, size in enumerate(sizes)]
    await store.log().append([message(row, number, body) for number, body in enumerate(bodies)])
    _, rows = await store.db.query(lambda db: repository.events_after(db, row, chat_id, 0, 50))
    assert [one.body for one in rows] == bodies
