"""What it costs a client to take in a long log: decrypt, verify, store and index, in the slices of a real catch-up.

`python -m benchmarks.catch_up [rows]`: the real reader and the real encrypted store, without a server in between.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.lib import proc
from mensajeria.client.engine.chat_logs import ROWS_SLICE
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.store import Tx
from tests.client.engine.test_rows_and_sealing import give_key, write
from tests.client.engine.world import Somebody, chat_of, desk, event

SENTENCE = "hola qué tal mañana nos vemos en la estación a las nueve con los billetes del tren y algo para comer"


async def measure(rows: int, slice_size: int) -> dict[str, float]:
    ana, bruno = Somebody.make("ana"), Somebody.make("bruno")
    with tempfile.TemporaryDirectory() as folder:
        async with desk(ana, bruno, Path(folder)) as sender, desk(bruno, ana, Path(folder)) as reader:
            chat_id = chat_of(ana, bruno)
            texts = [SENTENCE[n % 20 : 30 + n % 70] + f" {n}" for n in range(rows)]
            items, keys = await write(sender, chat_id, *texts)
            for key in keys:
                await give_key(reader, sender, key)
            events = [event(chat_id, n + 1, item.sealed.outer) for n, item in enumerate(items) if item.sealed]
            begun, cpu = time.perf_counter(), proc.own_cpu_ms()
            for start in range(0, len(events), slice_size):
                part = events[start : start + slice_size]

                def step(tx: Tx, out: Outcome) -> None:
                    reader.rows.apply(tx, out, chat_id, part, part[-1].seq)  # noqa: B023 - run at once

                await reader.do(step)
                reader.outcomes.clear()
            return {"seconds": time.perf_counter() - begun, "cpu_s": (proc.own_cpu_ms() - cpu) / 1000}


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    for size in (ROWS_SLICE, 256, 1024):
        print(size, asyncio.run(measure(rows, size)))


if __name__ == "__main__":
    main()
