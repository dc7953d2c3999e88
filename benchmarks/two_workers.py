"""From one process of the server to another: 50 pairs, each sender on the first, each receiver on the second.

python -m benchmarks.two_workers [--rate 100] [--seconds 10]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import uvloop

from benchmarks import load
from benchmarks.lib.stats import table
from tests.server.fixtures import migrate_in_a_process
from tests.server.process import ServerProcess, World, start_server_process
from tests.support.lifeline import Lifeline, Run
from tests.support.postgres import start_postgres
from tests.support.valkey import start_valkey

PAIRS = 50


def run(rate: float, seconds: float) -> list[dict[str, object]]:
    """Both people on one process, then one on each, on the same servers."""
    with Lifeline() as own, tempfile.TemporaryDirectory() as folder:
        first, second = _start(own, Path(folder))
        try:
            return [
                {"what": what, **uvloop.run(_measure(first, receivers, rate, seconds))}
                for what, receivers in (("one process", first), ("two processes", second))
            ]
        finally:
            first.stop()
            second.stop()


def _start(own: Run, folder: Path) -> tuple[ServerProcess, ServerProcess]:
    postgres, valkey = start_postgres(own, durable=True), start_valkey(own)
    url = postgres.create_database("bench")
    migrate_in_a_process(url)
    settings = {"MENSAJERIA_REDIS_URL": valkey.url, "MENSAJERIA_LOG_LEVEL": "warning"}
    start = [start_server_process(folder / "data", url, settings=settings) for _ in range(2)]
    return start[0], start[1]


async def _measure(first: ServerProcess, second: ServerProcess, rate: float, seconds: float) -> dict[str, float]:
    world, receivers = await World.of(first), await World.of(second)
    pairs = [await world.pair() for _ in range(PAIRS)]
    tracker = load.Tracker()
    senders = await load.connect_ours(world, pairs, tracker.arrived, receivers)
    work = load.Work(rate=rate, seconds=seconds)
    return await load.measure(senders, tracker, work, {"first": first.process.pid, "second": second.process.pid})


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=100.0, help="messages a second in all")
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    rows = run(options.rate, options.seconds)
    print(table(rows, list(rows[0])))


if __name__ == "__main__":
    main()
