"""The server under load, beside the bare limits of the same run (`python -m benchmarks peers` compares with others).

W1: 50 pairs, each sender keeps 8 messages of 300 bytes in flight until they are delivered. W2: the same pairs at 100
messages a second in all. Ours: WebSocket, MAC both ways, authorisation, idempotency, receipts, durable commit.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import uvloop

from benchmarks.lib import proc
from benchmarks.lib.peer import Peer
from benchmarks.lib.stats import percentile_ms
from benchmarks.lib.work import Size
from benchmarks.peers.bare import Bare, BareNone, BareSqlite
from benchmarks.peers.ours import Ours, OursSqlite
from benchmarks.peers.report import medians
from benchmarks.peers.run import measure
from mensajeria.server.chats.cache import read_chat
from mensajeria.server.chats.committer import EventCommitter, Pending
from mensajeria.server.chats.log import NewEvent
from mensajeria.server.db.engine import Database
from mensajeria.server.db.migrate import migrate
from mensajeria.server.realtime.gateway import event_log
from tests.server.people import insert_direct_chat, insert_people
from tests.support.lifeline import Lifeline
from tests.support.postgres import PostgresServer, postgres_is_available, start_postgres

PAIRS: Final = 50
IN_FLIGHT: Final = PAIRS * 8
COLUMNS: Final = (
    *("what", "messages_s", "x_bare", "p50_ms", "p99_ms", "cpu_us", "server_cpu_us", "postgres_cpu_us"),
    *("load_cpu_us", "lost"),
)
SERVERS: Final[dict[str, tuple[type[Peer], ...]]] = {"sqlite": (BareSqlite, OursSqlite), "postgresql": (Bare, Ours)}

Row = dict[str, Any]


def run(seconds: float = 8.0, databases: tuple[str, ...] = ("sqlite", "postgresql")) -> list[Row]:
    """Every measurement of the server; a row for each."""
    size = Size(seconds=seconds)
    rows = [_commit_alone(kind, seconds) for kind in databases if kind == "sqlite" or postgres_is_available()]
    measured = [measure(BareNone, "W1", size)]
    for kind in databases:
        if kind == "sqlite" or postgres_is_available():
            measured += [measure(peer, work, size) for work in ("W1", "W2") for peer in SERVERS[kind]]
    for (work, _disk, peer), figures in medians(measured).items():
        rows.append({"what": f"{work} {peer}", **figures})
    return rows


def _commit_alone(kind: str, seconds: float) -> Row:
    """The same log and the same batches, without a network: what the database alone allows."""
    folder = Path(tempfile.mkdtemp(prefix="mensajeria-bench-"))
    try:
        with Lifeline() as own:
            postgres = start_postgres(own, durable=True) if kind == "postgresql" else None
            url = postgres.create_database("bench") if postgres else f"sqlite:///{folder / 'bench.db'}"
            return uvloop.run(_commit(url, seconds, postgres)) | {"what": f"group commit alone, {kind}"}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _commit(url: str, seconds: float, postgres: PostgresServer | None) -> Row:
    await asyncio.to_thread(migrate, url)
    db = await asyncio.to_thread(Database, url)
    server_id = bytes(16)

    def fill(connection: Any) -> list[Any]:
        people = insert_people(connection, PAIRS * 2)
        couples = zip(people[::2], people[1::2], strict=True)
        return [read_chat(connection, insert_direct_chat(connection, server_id, a, b)[1]) for a, b in couples]

    infos = await db.write(fill)
    done = 0
    latencies: list[float] = []
    body = bytes(460)

    def again(number: int) -> None:
        info = infos[number % PAIRS]
        event = NewEvent(info.id, time.monotonic_ns().to_bytes(8, "big") + number.to_bytes(8, "big"), 0, 0, 1, body)
        committer.submit(Pending(event, info, (time.perf_counter(), number)))

    def committed(batch: Any, _outcomes: Any, _again: bool) -> None:  # noqa: FBT001
        nonlocal done
        now = time.perf_counter()
        done += len(batch)
        for pending in batch:
            latencies.append(now - pending.source[0])
            if live:
                again(pending.source[1])

    live = True
    committer = EventCommitter(event_log(db), committed)
    committer.start()
    for number in range(IN_FLIGHT):
        again(number)
    await asyncio.sleep(1)
    latencies.clear()
    pid = postgres.pid() if postgres else None
    own, other = proc.own_cpu_ms(), proc.cpu_ms(pid) if pid else 0.0
    count, begun = done, time.perf_counter()
    await asyncio.sleep(seconds)
    taken, count = time.perf_counter() - begun, done - count
    row = {
        "messages_s": count / taken,
        "p50_ms": percentile_ms(latencies, 0.5),
        "p99_ms": percentile_ms(latencies, 0.99),
        "server_cpu_us": (proc.own_cpu_ms() - own) * 1000 / count,
        "postgres_cpu_us": (proc.cpu_ms(pid) - other) * 1000 / count if pid else None,
        "lost": 0,
    }
    live = False
    await committer.close()
    await db.close()
    return row
