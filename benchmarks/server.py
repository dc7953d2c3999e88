"""The server under load, beside the bare limits of the same run.

W1: 50 pairs, each sender keeps 8 messages of 300 bytes in flight until they are delivered. W2: the same pairs at 100
messages a second in all. Ours: WebSocket, MAC both ways, authorisation, idempotency, durable commit, ack, push.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvloop

from benchmarks import load
from benchmarks.lib import proc
from benchmarks.lib.stats import percentile_ms
from mensajeria.server.chats.cache import read_chat
from mensajeria.server.chats.committer import EventCommitter, Pending
from mensajeria.server.chats.log import NewEvent
from mensajeria.server.db.engine import Database
from mensajeria.server.db.migrate import migrate
from mensajeria.server.realtime.gateway import event_log
from tests.server.people import insert_direct_chat, insert_people
from tests.server.process import World, start_server_process
from tests.support.lifeline import Lifeline
from tests.support.net import free_port
from tests.support.postgres import PostgresServer, dsn, postgres_is_available, start_postgres

PAIRS: Final = 50
IN_FLIGHT: Final = PAIRS * 8
COLUMNS: Final = (
    *("what", "messages_s", "p50_ms", "p99_ms"),
    *("server_cpu_us", "postgres_cpu_us", "load_cpu_us", "share", "lost"),
)
# The bars for PostgreSQL: W1 a quarter of the bare hot path (share), W2 below 5 ms from send to delivery (p99).

Row = dict[str, Any]


@dataclass(frozen=True)
class Bench:
    """One run: where its files are, how long each measurement takes."""

    folder: Path
    seconds: float
    postgres: PostgresServer | None

    def works(self) -> dict[str, load.Work]:
        return {"W1": load.Work(seconds=self.seconds), "W2": load.Work(seconds=self.seconds, rate=100.0)}

    def roots(self, server: int, kind: str) -> dict[str, int]:
        postgres = {"postgres": self.postgres.pid()} if kind == "postgresql" and self.postgres else {}
        return {"server": server, **postgres}

    def database(self, kind: str) -> str:
        """A fresh database's URL."""
        name = f"bench_{time.monotonic_ns()}"
        if kind == "sqlite":
            return f"sqlite:///{self.folder / name}.db"
        assert self.postgres is not None
        return self.postgres.create_database(name)


def run(seconds: float = 8.0, databases: tuple[str, ...] = ("sqlite", "postgresql")) -> list[Row]:
    """Every measurement of the server; a row for each."""
    folder = Path(tempfile.mkdtemp(prefix="mensajeria-bench-"))
    try:
        with contextlib.ExitStack() as stack:
            postgres = None
            if "postgresql" in databases and postgres_is_available():
                postgres = start_postgres(stack.enter_context(Lifeline()), durable=True)
            bench = Bench(folder, seconds, postgres)
            rows = [_echo(bench)]
            for kind in databases:
                if kind == "sqlite" or postgres is not None:
                    rows += _database(bench, kind)
            return rows
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _database(bench: Bench, kind: str) -> list[Row]:
    rows = [uvloop.run(_commit_alone(bench, kind)), *_bare(bench, kind), *_ours(bench, kind)]
    bare = {row["what"].split()[-1]: row for row in rows if "bare" in row["what"]}
    for row in rows:
        if "whole server" in row["what"] and "W1" in row["what"]:
            row["share"] = row["messages_s"] / bare["W1"]["messages_s"]
    return rows


def _echo(bench: Bench) -> Row:
    with _bare_process("echo", "") as (pid, port):
        result = uvloop.run(_bare_load(bench, pid, port, "echo", bench.works()["W1"]))
        return {"what": "echo, same WebSocket stack", **result}


def _bare(bench: Bench, kind: str) -> list[Row]:
    rows = []
    for name, work in bench.works().items():
        url = bench.database(kind)
        address = dsn(url) if kind == "postgresql" else url.removeprefix("sqlite:///")
        with _bare_process(kind, address) as (pid, port):
            result = uvloop.run(_bare_load(bench, pid, port, kind, work))
            rows.append({"what": f"{kind}: bare hot path, {name}", **result})
    return rows


async def _bare_load(bench: Bench, pid: int, port: int, kind: str, work: load.Work) -> dict[str, float]:
    tracker = load.Tracker()
    session = load.EchoSession if kind == "echo" else load.BareSession
    senders = await load.connect_bare(session, port, PAIRS, tracker.arrived)
    return await load.measure(senders, tracker, work, bench.roots(pid, kind))


@contextmanager
def _bare_process(kind: str, address: str) -> Iterator[tuple[int, int]]:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.bare", "--database", kind, "--address", address, "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        if process.stdout.readline().strip() != "listening":
            raise RuntimeError("the bare server did not start")
        time.sleep(0.3)
        yield process.pid, port
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def _ours(bench: Bench, kind: str) -> list[Row]:
    rows = []
    for name, work in bench.works().items():
        data = bench.folder / f"data-{time.monotonic_ns()}"
        server = start_server_process(data, None if kind == "sqlite" else bench.database(kind))
        try:
            rows.append({"what": f"{kind}: whole server, {name}", **uvloop.run(_our_load(bench, server, kind, work))})
        finally:
            server.stop()
    return rows


async def _our_load(bench: Bench, server: Any, kind: str, work: load.Work) -> dict[str, float]:
    world = await World.of(server)
    people = await world.people(PAIRS * 2)

    def chats(db: Any) -> list[tuple[Any, Any, bytes]]:
        couples = zip(people[::2], people[1::2], strict=True)
        return [(a, b, insert_direct_chat(db, world.facts.server_id, a, b)[1]) for a, b in couples]

    pairs = await server.db(chats)
    tracker = load.Tracker()
    senders = await load.connect_ours(world, pairs, tracker.arrived)
    return await load.measure(senders, tracker, work, bench.roots(server.process.pid, kind))


async def _commit_alone(bench: Bench, kind: str) -> Row:
    """The same log and the same batches, without a network: what the database alone allows."""
    url = bench.database(kind)
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
    postgres = bench.roots(0, kind).get("postgres")
    own, other = proc.own_cpu_ms(), proc.cpu_ms(postgres) if postgres else 0.0
    count, begun = done, time.perf_counter()
    await asyncio.sleep(bench.seconds)
    seconds, count = time.perf_counter() - begun, done - count
    row = {
        "what": f"{kind}: group commit alone",
        "messages_s": count / seconds,
        "p50_ms": percentile_ms(latencies, 0.5),
        "p99_ms": percentile_ms(latencies, 0.99),
        "server_cpu_us": (proc.own_cpu_ms() - own) * 1000 / count,
        "postgres_cpu_us": (proc.cpu_ms(postgres) - other) * 1000 / count if postgres else None,
        "lost": 0,
    }
    live = False
    await committer.close()
    await db.close()
    return row
