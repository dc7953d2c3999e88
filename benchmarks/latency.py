"""`python -m benchmarks latency`: how long each step takes at an easy pace, beside what was promised.

PostgreSQL and Valkey on this machine, a server with both; 100 messages and 100 reads a second.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import uvloop
from sqlalchemy import update

from benchmarks.growth import read_steadily
from benchmarks.lib.stats import percentile_ms, table
from benchmarks.lib.work import Size, steady
from benchmarks.peers.ours import OursTwo
from mensajeria.server.chats.heads import Viewer, heads_page
from mensajeria.server.db.engine import Database
from mensajeria.server.db.schema import device
from mensajeria.server.ratelimit.limits import Limit
from mensajeria.server.ratelimit.redis import RedisBuckets
from tests.server.people import Person
from tests.support.lifeline import Lifeline

Row = dict[str, Any]
PROMISED: Final = {"WebSocket": 10.0, "database": 5.0, "Redis": 1.0, "REST": 50.0}
PACE_S: Final = 0.01
READERS: Final = 50


async def paced(work: Callable[[], Awaitable[object]], seconds: float) -> tuple[float, float]:
    """p50 and p99 in ms of something that is done a hundred times a second."""
    taken: list[float] = []
    end = time.perf_counter() + seconds
    for _ in range(20):
        await work()
    while time.perf_counter() < end:
        begun = time.perf_counter()
        await work()
        taken.append(time.perf_counter() - begun)
        await asyncio.sleep(max(0.0, PACE_S - taken[-1]))
    return percentile_ms(taken, 0.5), percentile_ms(taken, 0.99)


def _row(step: str, what: str, figures: tuple[float, float]) -> Row:
    promised = PROMISED[step]
    met = "yes" if figures[1] <= promised else "NO"
    return {"step": step, "what": what, "p50_ms": figures[0], "p99_ms": figures[1], "promised_ms": promised, "met": met}


async def _measure(peer: OursTwo, seconds: float) -> list[Row]:
    messages = await steady(peer, Size(seconds=seconds, warmup_s=1))
    rows = [_row("WebSocket", "send to delivery, other process", (messages["p50_ms"], messages["p99_ms"]))]
    rest = await read_steadily(peer.world(receives=False), peer.people[:READERS], seconds)
    rows.append(_row("REST", "signed reads, 200 a second", (rest["rest_p50_ms"], rest["rest_p99_ms"])))
    return rows + await _database(peer.url, peer.people[0], seconds) + await _redis(peer, seconds)


async def _database(url: str, person: Person, seconds: float) -> list[Row]:
    db = await asyncio.to_thread(Database, url)
    viewer = Viewer(person.account_id, person.device_id)
    change = update(device).where(device.c.id == person.device_id).values(rest_counter=device.c.rest_counter + 1)

    def count(connection: Any) -> None:
        connection.execute(change)

    reading = await paced(lambda: heads_page(db, viewer, b"", 100), seconds)
    writing = await paced(lambda: db.write(count), seconds)
    await db.close()
    return [
        _row("database", "read through the pool: a page of chats", reading),
        _row("database", "write through the pool: one durable change", writing),
    ]


async def _redis(peer: OursTwo, seconds: float) -> list[Row]:
    assert peer.valkey is not None
    buckets = RedisBuckets(peer.valkey.url, "bench")
    limit = Limit.REST_DEVICE
    figures = await paced(lambda: buckets.take(limit.label, b"bench", limit.value, 1), seconds)
    await buckets.close()
    return [_row("Redis", "one token of a rate limit (Lua)", figures)]


def run(seconds: float = 4.0, scratch: Path | None = None) -> list[Row]:
    """All rows."""
    tempfile.tempdir = None if scratch is None else str(scratch)
    folder = Path(tempfile.mkdtemp(prefix="mensajeria-bench-"))
    try:
        with Lifeline() as own:
            peer = OursTwo(folder, own)
            peer.start()
            try:
                return uvloop.run(_measure(peer, seconds))
            finally:
                peer.stop()
    finally:
        tempfile.tempdir = None
        shutil.rmtree(folder, ignore_errors=True)


def main(arguments: Sequence[str]) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks latency", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--scratch", type=Path, help="folder for the database, e.g. one on a memory disk")
    given = parser.parse_args(arguments)
    rows = run(given.seconds, given.scratch)
    print(table(rows, list(rows[0])))
    return 0
