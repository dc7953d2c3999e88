"""`python -m benchmarks growth`: the same figures on a small and on a large database.

Scale 1 is 1,000 users, 5,000 chats and 1,000,000 events in PostgreSQL; scale 10 is ten times that. On each: REST reads
at 200 a second, the catch-up of a device that is 10,000 events behind, and the works W1 and W2 among 50 pairs.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import secrets
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import asyncpg
import uvloop
from picows import WSFrame, WSMsgType, WSTransport, ws_connect
from sqlalchemy import Connection, text

from benchmarks.lib import proc
from benchmarks.lib.http import HttpClient
from benchmarks.lib.peer import ignore
from benchmarks.lib.stats import percentile_ms, table
from benchmarks.lib.work import Result, Size, pairs, steady
from benchmarks.peers.ours import Ours, OurSession
from mensajeria.protocol import frames, limits
from mensajeria.protocol.api import rest_key, rest_mac
from mensajeria.protocol.connection import ClientConnection
from tests.server.fixtures import migrate_in_a_process
from tests.server.people import Person, insert_direct_chat
from tests.server.process import World
from tests.support.lifeline import Lifeline
from tests.support.postgres import dsn, start_postgres

USERS, CHATS, EVENTS, BEHIND, READERS = 1000, 5000, 1_000_000, 10_000, 50
RATE: Final = 200.0
BODY: Final = 400
PATHS: Final = ("/v1/chats", "/v1/devices/me/prekeys", "/v1/blocks", "/v1/backup/use")
BARS: Final = {"rest_p99_ms": 20.0, "catch_up_s": 1.0}
MAX_GROWTH: Final = 1.5
# The people who read are made before, the usual way; their chats lie spread among all others.
_FILL: Final = """
INSERT INTO account (uid, handle, status, created_ms, opaque_suite, opaque_record, root_ver, wrap_password,
  wrap_recovery, identity, idfp, list_ver)
SELECT uuid_send(gen_random_uuid()), 'filler' || n, 'active', 1, 1, '', 1, '', '', '', sha256(n::text::bytea), 1
FROM generate_series(1, {users}) n;
INSERT INTO chat (chat_id, kind, last_seq, last_ms, created_ms)
SELECT sha256(('chat' || n)::bytea), 0, {per_chat}, n, 1 FROM generate_series(1, {chats}) n;
INSERT INTO chat_member (chat, account, accepted, created_ms)
SELECT c.id, a.id, true, 1 FROM (SELECT id, row_number() OVER (ORDER BY id) - 1 AS n FROM chat) c
JOIN (SELECT id, row_number() OVER (ORDER BY id) - 1 AS n FROM account) a
  ON a.n IN (c.n % {all_users}, (c.n * 7 + 1 + c.n / {all_users}) % {all_users}) ON CONFLICT DO NOTHING;
INSERT INTO event (chat, seq, mid, ts, kind, body)
SELECT c.id, n, uuid_send(gen_random_uuid()), 1, 1, decode(repeat(md5(n::text), {body} / 16), 'hex')
FROM chat c, generate_series(1, {per_chat}) n;
"""


class Grown(Ours):
    """Our server on a database that was filled before."""

    scale = 1

    def database(self) -> str:
        settings = {"max_wal_size": "8GB", "wal_level": "minimal", "max_wal_senders": "0"}
        self.postgres = start_postgres(self.own, durable=True, settings=settings)
        url = self.postgres.create_database("bench")
        migrate_in_a_process(url)
        return url


class Asking(OurSession):
    """A device that asks and waits for answers."""

    def __init__(self, channel: ClientConnection) -> None:
        super().__init__(channel, ignore, receipts=False)
        self.answers: asyncio.Queue[Any] = asyncio.Queue()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if self.ready.done() and frame.msg_type == WSMsgType.BINARY:
            self.answers.put_nowait(self._channel.receive(frame.get_payload_as_bytes()))
        else:
            super().on_ws_frame(transport, frame)

    async def ask(self, frame: Any) -> Any:
        """The answer to a request."""
        self._send(frame)
        return await self.answers.get()


async def fill(peer: Grown) -> tuple[World, list[Person], bytes]:
    """Fill the database; the world, the people who read, and the chat that the first of them has not read."""
    world = await World.of(peer.servers[0])
    readers = await world.people(READERS)
    scale = peer.scale
    numbers = {
        "users": USERS * scale - READERS,
        "all_users": USERS * scale,
        "chats": CHATS * scale,
        "per_chat": EVENTS // CHATS,
        "body": BODY,
    }
    connection = await asyncpg.connect(dsn(peer.url))
    await connection.execute(_FILL.format(**numbers))
    await connection.execute("VACUUM ANALYZE")
    await connection.close()

    def behind(db: Connection) -> bytes:
        row, chat_id = insert_direct_chat(db, world.facts.server_id, readers[0], readers[1])
        statement = text(
            "INSERT INTO event (chat, seq, mid, ts, kind, body) SELECT :chat, n, uuid_send(gen_random_uuid()), 1, 1, "
            "decode(repeat(md5(n::text), :body / 16), 'hex') FROM generate_series(1, :count) n"
        )
        db.execute(statement, {"chat": row, "count": BEHIND, "body": BODY})
        db.execute(text("UPDATE chat SET last_seq = :count WHERE id = :chat"), {"chat": row, "count": BEHIND})
        return chat_id

    return world, readers, await world.server.db(behind)


async def read_steadily(world: World, readers: Sequence[Person], seconds: float) -> Result:
    """Signed REST reads at a fixed rate, by turns."""
    http = HttpClient(world.server.port)
    tokens = [world.token(person) for person in readers]
    keys = [rest_key(person.ck.reveal()) for person in readers]
    latencies: list[float] = []
    counter = itertools.count(1)

    async def one(number: int, *, counts: bool) -> None:
        who, path = number % len(readers), PATHS[number // len(readers) % len(PATHS)]
        mac = rest_mac(keys[who], "GET", path, b"", next(counter))
        begun = time.perf_counter()
        await http.call("GET", path, headers={"Authorization": f"Bearer {tokens[who]}", "Mensajeria-Mac": mac})
        if counts:
            latencies.append(time.perf_counter() - begun)

    for number in range(len(readers) * len(PATHS)):
        await one(number, counts=False)
    pid = world.server.process.pid
    begun, sent, cpu = time.perf_counter(), 0, proc.cpu_ms(pid)
    async with asyncio.TaskGroup() as group:
        while (now := time.perf_counter() - begun) < seconds:
            if (wait := sent / RATE - now) > 0:
                await asyncio.sleep(wait)
            group.create_task(one(sent, counts=True))
            sent += 1
    http.close()
    cost = (proc.cpu_ms(pid) - cpu) * 1000 / sent
    return {"rest_server_cpu_us": cost} | {
        f"rest_p{round(share * 100)}_ms": percentile_ms(latencies, share) for share in (0.5, 0.99)
    }


async def catch_up(world: World, person: Person, chat_id: bytes) -> float:
    """Seconds from the open socket until a device has all it is behind."""
    channel = ClientConnection(
        person.ck,
        did=person.did,
        jwt=world.token(person),
        nonce=secrets.token_bytes(32),
        gen=0,
        server_id=world.facts.server_id,
    )
    _, session = await ws_connect(lambda: Asking(channel), world.server.websocket)
    assert isinstance(session, Asking)
    await session.ready
    begun, after, heads = time.perf_counter(), 0, []
    page = await session.ask(frames.Sync(1))
    heads += page.heads
    while page.more:
        page = await session.ask(frames.Sync(1, max(head.chat_id for head in page.heads)))
        heads += page.heads
    last = next(head.last_seq for head in heads if head.chat_id == chat_id)
    while after < last:
        found = await session.ask(frames.Fetch(2, chat_id, after, limits.MAX_FETCH_EVENTS))
        assert [event.seq for event in found.events] == list(range(after + 1, after + 1 + len(found.events)))
        after += len(found.events)
    seconds = time.perf_counter() - begun
    await session.close()
    return seconds


def measure(scale: int, seconds: float) -> Result:
    """All figures at one scale."""
    folder = Path(tempfile.mkdtemp(prefix="mensajeria-bench-"))
    try:
        with Lifeline() as own:
            peer = Grown(folder, own)
            peer.scale = scale
            peer.start()
            try:
                return uvloop.run(_measure(peer, seconds))
            finally:
                peer.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _measure(peer: Grown, seconds: float) -> Result:
    begun = time.perf_counter()
    world, readers, chat_id = await fill(peer)
    result: Result = {"scale": peer.scale, "fill_s": time.perf_counter() - begun}
    connection = await asyncpg.connect(dsn(peer.url))
    result["database_mb"] = await connection.fetchval("SELECT pg_database_size(current_database())") / 2**20
    await connection.execute("CHECKPOINT")
    await connection.close()
    result |= await read_steadily(world, readers, seconds)
    result["catch_up_s"] = min([await catch_up(world, readers[0], chat_id) for _ in range(3)])
    works: dict[str, Callable[[Ours, Size], Awaitable[Result]]] = {"w1": pairs, "w2": steady}
    for name, work in works.items():
        figures = await work(peer, Size(seconds=seconds, warmup_s=1))
        names = ("messages_s", "cpu_us") if name == "w1" else ("p50_ms",)
        result |= {f"{name}_{figure}": figures[figure] for figure in names}
    result["server_pss_mb"] = proc.pss_mb(peer.servers[0].process.pid)
    return result


def growth(small: Result, large: Result) -> Result:
    """How much worse each figure is: above 1 is worse, whichever way the figure counts."""
    factors: Result = {"scale": "x worse"}
    for name in small:
        if name.endswith("messages_s"):
            factors[name] = small[name] / large[name]
        elif name.endswith(("_ms", "_us", "up_s")):
            factors[name] = large[name] / small[name]
    return factors


def main(arguments: Sequence[str]) -> int:
    """Measure and print; rows may be kept with --out and reported together later."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks growth", description=__doc__)
    parser.add_argument("--scales", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--out", type=Path, help="append the rows to this file, one JSON object a line")
    parser.add_argument("--merge", type=Path, help="measure nothing: report what this file holds")
    given = parser.parse_args(arguments)
    if given.merge:
        rows = [json.loads(line) for line in given.merge.read_text().splitlines()]
    else:
        rows = [measure(scale, given.seconds) for scale in given.scales]
        if given.out:
            with given.out.open("a") as out:
                out.writelines(json.dumps(row) + "\n" for row in rows)
    lines: list[Result] = list(rows)
    if len(rows) > 1:
        lines.append(growth(rows[0], rows[-1]))
    print(table(lines, list(rows[0])))
    print(f"bars: {', '.join(f'{name} at most {bar:g}' for name, bar in BARS.items())}; x worse at most {MAX_GROWTH}")
    return 0
