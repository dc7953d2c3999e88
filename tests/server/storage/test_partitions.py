"""The log's table may be partitioned by chat: nothing in the code has to change, and each read stays in one part.

The server does not do that by itself: an operator does when one table has become too large to look after.
"""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, select, text

from mensajeria.server.chats import log, repository
from mensajeria.server.chats.erase import Why, bury
from mensajeria.server.chats.log_postgres import CAREFUL
from mensajeria.server.db.schema_chats import event
from tests.server.storage.conftest import POSTGRESQL, Store, message, void

PARTS = 4
PARTITION = (
    "ALTER TABLE event RENAME TO event_whole",
    "CREATE TABLE event (LIKE event_whole INCLUDING DEFAULTS INCLUDING STORAGE) PARTITION BY HASH (chat)",
    "ALTER TABLE event ADD PRIMARY KEY (chat, seq), ADD UNIQUE (chat, mid)",
    *(
        f"CREATE TABLE event_{part} PARTITION OF event FOR VALUES WITH (MODULUS {PARTS}, REMAINDER {part})"
        for part in range(PARTS)
    ),
    "INSERT INTO event SELECT * FROM event_whole",
    "DROP TABLE event_whole",
)
pytestmark = pytest.mark.parametrize("database_url", POSTGRESQL, indirect=True)


@pytest.fixture
async def parted(store: Store) -> Store:
    """With a row in it from before."""
    await store.log().append([message(store.chats[0][0], 1)])

    def partition(db: Connection) -> None:
        for statement in PARTITION:
            db.execute(text(statement))

    await store.db.write(partition)
    return store


async def test_the_log_keeps_its_contract(parted: Store) -> None:
    (a, chat_id), (b, _), (c, _) = parted.chats
    events = parted.log()
    assert await events.append([message(a, 2)]) == [(log.NEW, 2, 1000)]
    assert await events.append([message(a, 3), message(b, 1), message(c, 1)]) == [
        (log.NEW, 3, 1000),
        (log.NEW, 1, 1000),
        (log.NEW, 1, 1000),
    ]
    for _ in range(CAREFUL + 1):  # judged row by row at first, then taken to be new
        again = await events.append([message(a, 1), message(a, 2, b"other"), message(b, 1)])
        assert [one[:2] for one in again] == [(log.KNOWN, 1), (log.MID_CONFLICT, 2), (log.KNOWN, 1)]
    last, page = await parted.db.query(lambda db: repository.events_after(db, a, chat_id, 0, 10))
    assert (last, [one.seq for one in page]) == (3, [1, 2, 3])


async def test_each_chat_is_in_one_part_and_looked_for_there_only(parted: Store) -> None:
    await parted.log().append([message(row, 9) for row, _ in parted.chats])
    row, _ = parted.chats[0]
    query = select(event.c.seq).where(event.c.chat == row, event.c.seq > 0).order_by(event.c.seq)

    def parts(db: Connection) -> tuple[int, int]:
        places = text("SELECT count(DISTINCT tableoid) FROM event WHERE chat = :chat")
        plan = db.execute(text(f"EXPLAIN {query.compile(db, compile_kwargs={'literal_binds': True})}")).scalars()
        return db.execute(places, {"chat": row}).scalar_one(), sum(" on event_" in line for line in plan)

    assert await parted.db.query(parts) == (1, 1)


async def test_rows_are_erased(parted: Store) -> None:
    row, _ = parted.chats[0]
    found = await parted.db.query(lambda db: db.execute(select(event.c.seq, event.c.body)).one())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mensajeria.server.chats.erase.tombstone", lambda _body, _why: b"stone")
        await parted.db.write(lambda db: void(bury(db, row, [(found, Why.TIMER)])))
    assert await parted.db.query(lambda db: db.execute(select(event.c.kind, event.c.body)).one()) == (2, b"stone")
