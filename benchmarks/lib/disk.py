"""How long the disk takes to make a few bytes durable, in the same seconds as a measurement.

A server that commits before it acks is at least as slow as its disk's fsync, and a shared disk may stall for a second.
This small loop, which does nothing else, shows how much of a latency was that.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from benchmarks.lib.stats import percentile_ms

EVERY_S: Final = 0.05
BLOCK: Final = 8192
"""What a small commit writes."""
BLOCKS: Final = 128


class DiskProbe:
    """A process of its own, so that it waits for nobody's lock: writes a block over another and waits for the disk."""

    def __init__(self, folder: Path) -> None:
        self._command = [sys.executable, "-m", "benchmarks.lib.disk", str(folder / "probe")]
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> list[tuple[float, float]]:
        """End it; (when, how long) of each fsync, in seconds of `time.perf_counter`. Nothing the second time."""
        process, self._process = self._process, None
        if process is None:
            return []
        process.terminate()
        lines = process.communicate()[0].splitlines()
        return [(float(when), float(taken)) for when, taken in (line.split() for line in lines)]


def figures(samples: list[tuple[float, float]], begun: float, seconds: float) -> dict[str, float]:
    """The percentiles of what began in these seconds; empty when nothing did."""
    taken = [one for when, one in samples if begun <= when < begun + seconds]
    if not taken:
        return {}
    return {"fsync_p50_ms": percentile_ms(taken, 0.5), "fsync_p99_ms": percentile_ms(taken, 0.99)}


def main() -> None:
    """Write until ended."""
    file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
    os.write(file, bytes(BLOCK * BLOCKS))
    os.fsync(file)
    block = os.urandom(BLOCK)
    for number in range(1 << 40):
        begun = time.perf_counter()
        os.pwrite(file, block, number % BLOCKS * BLOCK)
        os.fdatasync(file)
        os.write(1, f"{begun:.6f} {time.perf_counter() - begun:.6f}\n".encode())
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main()
