"""A full disk: refused in words, nothing that was acknowledged is lost, and all is well once there is room again.

SQLite's file is not allowed to grow (SQLITE_FULL, as on a full disk); PostgreSQL raises its own `disk_full` from a
trigger, since its disk is that of the whole machine.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, text

from mensajeria.protocol import limits
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.protocol.frames import PutOutcome, PutTarget
from mensajeria.protocol.ids import b64
from mensajeria.protocol.membership import direct_chat_id
from mensajeria.server.chats.committer import EventCommitter, Pending
from mensajeria.server.chats.log import NEW, UNAVAILABLE, EventLog, LogUnavailableError, NewEvent, Outcome
from mensajeria.server.chats.repository import create_direct
from mensajeria.server.mailbox.service import Mailboxes
from mensajeria.server.realtime.gateway import event_log
from mensajeria.server.state import Server
from tests.server.enrol import Person, register

FULL = """CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$"""
TABLES = ("event", "mailbox", "report")
Run = Callable[[], Awaitable[None]]


@pytest.fixture
async def ana(app_server: Server) -> Person:
    return await register(app_server, "ana")


@pytest.fixture
async def bruno(app_server: Server) -> Person:
    return await register(app_server, "bruno")


@pytest.fixture
async def log(app_server: Server) -> AsyncIterator[EventLog]:
    made = event_log(app_server.db)
    yield made
    await made.close()


def _statements(*statements: str) -> Callable[[Connection], None]:
    def run(db: Connection) -> None:
        for statement in statements:
            db.execute(text(statement))

    return run


@pytest.fixture
def fill(app_server: Server) -> Run:
    """The disk is full from now on."""

    async def run() -> None:
        writer = app_server.db.writer
        if writer is not None:
            await writer.run(lambda db: db.execute("PRAGMA max_page_count = 1").fetchone())  # never below what is there
        else:
            triggers = [f"CREATE TRIGGER full_{t} BEFORE INSERT ON {t} EXECUTE FUNCTION no_room()" for t in TABLES]
            await app_server.db.write(_statements(FULL, *triggers))

    return run


@pytest.fixture
def make_room(app_server: Server) -> Run:
    """There is room again."""

    async def run() -> None:
        writer = app_server.db.writer
        if writer is not None:
            await writer.run(lambda db: db.execute("PRAGMA max_page_count = 1073741823").fetchone())
        else:
            await app_server.db.write(_statements(*[f"DROP TRIGGER full_{t} ON {t}" for t in TABLES]))

    return run


async def chat_of(server: Server, ana: Person, bruno: Person) -> int:
    chat_id = direct_chat_id(server.facts.server_id, ana.uid, bruno.uid)

    def make(db: Connection) -> int:
        ids = [
            db.execute(text("SELECT id FROM account WHERE uid = :uid"), {"uid": one.uid}).scalar_one()
            for one in (ana, bruno)
        ]
        create_direct(db, chat_id, ids[0], ids[1], 1)
        return int(db.execute(text("SELECT id FROM chat WHERE chat_id = :id"), {"id": chat_id}).scalar_one())

    return await server.db.write(make)


def rows(chat: int, first: int, count: int) -> list[NewEvent]:
    return [NewEvent(chat, n.to_bytes(16, "big"), 0, 0, n, bytes(2000), 0) for n in range(first, first + count)]


async def stored(server: Server, chat: int) -> list[tuple[int, int]]:
    query = text("SELECT seq, ts FROM event WHERE chat = :chat ORDER BY seq")
    return await server.db.query(lambda db: [(row[0], row[1]) for row in db.execute(query, {"chat": chat})])


async def test_messages_are_refused_and_go_in_later(
    app_server: Server, log: EventLog, ana: Person, bruno: Person, fill: Run, make_room: Run
) -> None:
    chat = await chat_of(app_server, ana, bruno)
    assert [one[0] for one in await log.append(rows(chat, 1, 3))] == [NEW] * 3
    await fill()

    with pytest.raises(LogUnavailableError):
        await _append_without_end(log, chat)

    kept = await stored(app_server, chat)
    assert [seq for seq, _ in kept] == list(range(1, len(kept) + 1))
    await make_room()
    again = await log.append(rows(chat, 1, len(kept) + 20))
    assert [one[1] for one in again] == list(range(1, len(kept) + 21))
    assert await stored(app_server, chat) == [(n, n) for n in range(1, len(kept) + 21)]


async def _append_without_end(log: EventLog, chat: int) -> None:
    """The pages that are there may still take some."""
    for batch in range(100):
        await log.append(rows(chat, 4 + batch * 20, 20))


async def test_senders_are_told_to_try_again(
    app_server: Server, log: EventLog, ana: Person, bruno: Person, fill: Run, make_room: Run
) -> None:
    """Each message of a batch is refused as unavailable, which carries when to try again."""
    chat = await chat_of(app_server, ana, bruno)
    await fill()
    outcomes = await _committed(log, rows(chat, 1, 600))
    assert [one[0] for one in outcomes] == [UNAVAILABLE] * 600
    await make_room()
    assert [one[:2] for one in await _committed(log, rows(chat, 1, 600))] == [(NEW, n) for n in range(1, 601)]


async def _committed(log: EventLog, events: list[NewEvent]) -> list[Outcome]:
    """What the one flusher of a process tells the senders."""
    found: list[Outcome] = []

    def committed(_batch: Sequence[Pending], outcomes: Sequence[Outcome], _again: bool) -> None:
        found.extend(outcomes)

    nobody: Any = None  # whose they are has no part in it
    committer = EventCommitter(log, committed)
    committer.start()
    for event in events:
        committer.submit(Pending(event, nobody, nobody))
    await committer.close()
    return found


async def test_envelopes_are_refused_and_go_in_later(
    app_server: Server, bruno: Person, fill: Run, make_room: Run
) -> None:
    did = bruno.device.did
    query = text("SELECT pq_prekey_id FROM device WHERE did = :did")
    prekey = await app_server.db.query(lambda db: int(db.execute(query, {"did": did}).scalar_one()))
    mailboxes = Mailboxes(app_server.db, app_server.clock, lambda _puts: None)
    mailboxes.start()
    targets = [PutTarget(did, prekey, bytes(limits.MAX_ENVELOPE)) for _ in range(50)]
    await fill()
    with pytest.raises(ProtocolError) as refused:
        await mailboxes.put(1, b"", 0, targets)
    assert (refused.value.code, refused.value.retry_after_ms) == (Code.UNAVAILABLE, 1000)
    await make_room()
    assert await mailboxes.put(1, b"", 0, targets) == (PutOutcome.OK,) * 50
    await mailboxes.close()


@pytest.mark.allow_log_errors
async def test_calls_are_refused_and_change_nothing(
    http: httpx.AsyncClient, ana: Person, bruno: Person, fill: Run, make_room: Run
) -> None:
    body = {"uid": b64(bruno.uid), "chat_id": None, "text": "x" * limits.REPORT_MAX_CHARS}
    await fill()
    answer = await ana.call(http, "POST", "/v1/reports", body)
    for _ in range(8):  # the pages that are there may still take one
        if not answer.is_success:
            break
        answer = await ana.call(http, "POST", "/v1/reports", body)
    assert (answer.status_code, answer.json().get("code")) == (503, Code.UNAVAILABLE)
    assert (await ana.call(http, "GET", "/v1/blocks")).status_code == 200  # what is there can be read
    await make_room()
    assert (await ana.call(http, "POST", "/v1/reports", body)).status_code == 201
