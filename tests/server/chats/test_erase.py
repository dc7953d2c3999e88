"""Erasing messages: by token, by admins, by timer, by the operator's rule; and that the bytes are gone."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from sqlalchemy import Connection, func, select, update

from mensajeria.kit.clock import FakeClock
from mensajeria.protocol.frames import EventKind, Tombstone
from mensajeria.protocol.ids import b64
from mensajeria.protocol.membership import direct_chat_id
from mensajeria.protocol.records import MessageOuter
from mensajeria.server.chats import log, retention
from mensajeria.server.chats.cache import read_chat
from mensajeria.server.chats.log import NewEvent, due_ms
from mensajeria.server.chats.retention import Retention
from mensajeria.server.db.schema_chats import chat, event
from mensajeria.server.db.schema_content import chat_purge, event_due, member_event, membership
from mensajeria.server.realtime.gateway import event_log
from mensajeria.server.state import Server
from tests.server.chats.test_groups import Ear
from tests.server.enrol import Person, register
from tests.server.fixtures import ON_SQLITE
from tests.server.groups import Group, befriend, problem

TOKEN = b"t" * 32
HOUR = 3600 * 1000


def outer(chat_id: bytes, mid: bytes, ct: bytes = b"secret words", *, ttl: int = 0) -> bytes:
    message = MessageOuter(1, 1, chat_id, 0, b"s" * 32, 7, mid, ct, hashlib.sha256(TOKEN).digest(), ttl)
    return msgspec.msgpack.encode(message)


class Room:
    """A direct chat of Ana and Bruno, and what stands in its log."""

    def __init__(self, server: Server, ana: Person, bruno: Person, chat_id: bytes) -> None:
        self.server, self.ana, self.bruno, self.chat_id = server, ana, bruno, chat_id
        self.row = 0

    async def write(self, mid: int, ct: bytes = b"secret words", *, ttl: int = 0, ts: int | None = None) -> int:
        info = await self.server.db.query(lambda db: read_chat(db, self.chat_id))
        assert info is not None
        self.row = info.id
        now = self.server.clock.now_ms() if ts is None else ts
        name = bytes([mid]) * 16
        events = event_log(self.server.db)
        body = outer(self.chat_id, name, ct, ttl=ttl)
        (outcome,) = await events.append([NewEvent(info.id, name, 1 << 40, 0, now, body, 0, due_ms(now, ttl))])
        await events.close()
        assert outcome[0] == log.NEW
        return outcome[1]

    async def rows(self) -> list[Any]:
        query = select(event.c.seq, event.c.kind, event.c.body).where(event.c.chat == self.row).order_by(event.c.seq)
        return await self.server.db.query(lambda db: list(db.execute(query)))

    async def why(self, seq: int) -> int | None:
        row = next(row for row in await self.rows() if row.seq == seq)
        if row.kind != EventKind.TOMBSTONE:
            return None
        stone = msgspec.msgpack.decode(row.body, type=Tombstone)
        assert (stone.session_id, stone.idx) == (b"s" * 32, 7)
        return stone.why


@pytest.fixture
async def room(http: httpx.AsyncClient, app_server: Server) -> Room:
    ana, bruno = [await register(app_server, name) for name in ("ana", "bruno")]
    await befriend(http, app_server, ana, bruno)
    return Room(app_server, ana, bruno, direct_chat_id(app_server.facts.server_id, ana.uid, bruno.uid))


def item(mid: int, token: bytes | None = TOKEN) -> dict[str, Any]:
    return {"mid": b64(bytes([mid]) * 16), "token": None if token is None else b64(token)}


async def erase(http: httpx.AsyncClient, by: Person, chat_id: bytes, *items: dict[str, Any]) -> list[str]:
    response = await by.call(http, "POST", f"/v1/chats/{b64(chat_id)}/erase", {"items": list(items)})
    assert response.status_code == 200, response.text
    results: list[str] = response.json()["results"]
    return results


@pytest.mark.quick
async def test_token_erases_and_nothing_else_does(http: httpx.AsyncClient, app_server: Server, room: Room) -> None:
    ear = Ear()
    app_server.hub.attach(ear)
    first, second = await room.write(1), await room.write(2)
    answer = await erase(http, room.ana, room.chat_id, item(1, b"x" * 32), item(2), item(9), item(1, None))

    assert answer == ["refused", "erased", "unknown", "refused"]
    assert (await room.why(first), await room.why(second)) == (None, 1)
    ((_, joined, audience, rows),) = ear.rows
    assert (joined, len(audience)) == ((), 2)
    assert [(row.seq, row.kind) for row in rows] == [(second, EventKind.TOMBSTONE)]
    # again: the same answer, and nobody is told
    assert await erase(http, room.bruno, room.chat_id, item(2)) == ["erased"]
    assert len(ear.rows) == 1


async def test_retry_of_an_erased_message_finds_its_place(
    app_server: Server, http: httpx.AsyncClient, room: Room
) -> None:
    seq = await room.write(1)
    await erase(http, room.ana, room.chat_id, item(1))
    events = event_log(app_server.db)
    name = bytes([1]) * 16
    (outcome,) = await events.append([NewEvent(room.row, name, 0, 0, 5, outer(room.chat_id, name))])
    await events.close()

    assert outcome[:2] == (log.KNOWN, seq)


@pytest.mark.quick
async def test_admins_of_a_group_erase_without_a_token(http: httpx.AsyncClient, app_server: Server, room: Room) -> None:
    group = await Group.create(http, room.ana, room.bruno)
    inside = Room(app_server, room.ana, room.bruno, group.chat_id)
    seq = await inside.write(1)

    assert await erase(http, room.bruno, group.chat_id, item(1, None)) == ["refused"]
    assert await erase(http, room.ana, group.chat_id, item(1, None)) == ["erased"]
    assert await inside.why(seq) == 2


async def test_stranger_erases_nothing(http: httpx.AsyncClient, app_server: Server, room: Room) -> None:
    await room.write(1)
    carla = await register(app_server, "carla")
    target = f"/v1/chats/{b64(room.chat_id)}/erase"
    problem(await carla.call(http, "POST", target, {"items": [item(1)]}), 404, "unknown_chat")


@pytest.mark.quick
@ON_SQLITE
async def test_erased_bytes_are_in_no_file(
    http: httpx.AsyncClient, app_server: Server, room: Room, tmp_path: Path
) -> None:
    marks = [b"MARK-of-a-short-message", b"MARK-of-a-long-message" * 1000]
    for mid, mark in enumerate(marks, 1):
        await room.write(mid, mark)

    def holders() -> list[str]:
        return [file.name for file in (tmp_path / "data").glob("mensajeria.db*") if b"MARK-of" in file.read_bytes()]

    assert await asyncio.to_thread(holders)
    assert await erase(http, room.ana, room.chat_id, item(1), item(2)) == ["erased", "erased"]
    await app_server.retention.run()
    assert await asyncio.to_thread(holders) == []


async def test_timers_run_out(app_server: Server, clock: FakeClock, room: Room) -> None:
    hour, two_hours, kept = await room.write(1, ttl=1), await room.write(2, ttl=2), await room.write(3)
    clock.advance(3600 + 1)
    assert (await app_server.retention.run()).timers == 1
    assert [await room.why(seq) for seq in (hour, two_hours, kept)] == [3, None, None]
    clock.advance(3600)
    assert (await app_server.retention.run()).timers == 1
    assert [await room.why(seq) for seq in (two_hours, kept)] == [3, None]
    left = await app_server.db.query(lambda db: db.execute(select(func.count()).select_from(event_due)).scalar_one())
    assert left == 0


def test_due() -> None:
    assert [due_ms(5, bucket) for bucket in (0, 1, 3, 21, 255)] == [0, 5 + HOUR, 5 + 4 * HOUR, 0, 0]


async def test_operators_rule_in_small_steps(app_server: Server, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "ROWS", 3)
    now = app_server.clock.now_ms()
    day = 24 * HOUR
    for mid in range(1, 8):
        await room.write(mid, ts=now - 10 * day)
    await room.write(8, ts=now)
    job = Retention(app_server.db, app_server.clock, days=7)

    assert (await job.run()).old == 7
    assert [await room.why(seq) for seq in range(1, 9)] == [4] * 7 + [None]
    assert (await job.run()).old == 0
    assert (await Retention(app_server.db, app_server.clock).run()).old == 0


async def test_log_without_members_goes(http: httpx.AsyncClient, app_server: Server, room: Room) -> None:
    group = await Group.create(http, room.ana)
    inside = Room(app_server, room.ana, room.bruno, group.chat_id)
    for mid in range(1, 6):
        await inside.write(mid)
    await group.event(room.ana, "leave", who=room.ana.uid)

    assert (await app_server.retention.run()).purged >= 7
    assert await inside.rows() == []

    def counts(db: Connection) -> list[int]:
        return [
            db.execute(select(func.count()).select_from(table).where(table.c.chat == inside.row)).scalar_one()
            for table in (chat_purge, member_event, membership)
        ]

    assert await app_server.db.query(counts) == [0, 0, 0]


@pytest.mark.slow
async def test_files_shrink(app_server: Server, room: Room) -> None:
    if app_server.db.writer is None:
        pytest.skip("only SQLite keeps its file")
    for mid in range(1, 120):
        await room.write(mid, b"x" * 100_000)
    path = Path(str(app_server.db.url.database))
    await asyncio.to_thread(retention._truncate_wal, str(path))
    before = await asyncio.to_thread(path.stat)
    await app_server.db.write(lambda db: void(db.execute(update(chat).values(kept_from=0))))
    app_server.clock.advance(8 * 24 * 3600)  # type: ignore[attr-defined]
    await Retention(app_server.db, app_server.clock, days=7).run()
    after = await asyncio.to_thread(path.stat)

    assert after.st_size < before.st_size / 5


def void(_result: object) -> None:
    pass
