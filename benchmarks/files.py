"""How fast a file is made ready to be sent and saved again, and how much memory that takes: the product's functions,
with the disk, in a process of its own for the memory. Bars of docs/protocol/e2ee.md §13: 200 MB/s, 100 MB.

`python -m benchmarks files`, or `python -m benchmarks.files MEGABYTES` for another size than 1,000.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from mensajeria.client.transfer import saving
from mensajeria.client.transfer.staging import FOLDER, stage_file, stage_name
from mensajeria.crypto.files import CHUNK, FileSealer, Metadata
from mensajeria.protocol.records_files import FileBody

COLUMNS: Final = ["work", "megabytes", "mb_per_second", "core_mb_per_second", "peak_mb", "bar", "ok"]
SIZE_MB: Final = 1000
_BAR_SPEED: Final = 200
_BAR_MEMORY: Final = 100


def run(megabytes: int = SIZE_MB) -> list[dict[str, Any]]:
    """One row for each kind of work, each in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "profile").mkdir()
        return [_measure(work, Path(folder), megabytes) for work in ("cipher", "stage", "save")]


def _measure(work: str, folder: Path, megabytes: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.files", work, str(folder), str(megabytes)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    wall, core, peak = json.loads(done.stdout)
    return {
        "work": {"cipher": "encrypt in memory", "stage": "encrypt a file", "save": "verify and save it"}[work],
        "megabytes": megabytes,
        "mb_per_second": round(megabytes / wall),
        "core_mb_per_second": round(megabytes / core),
        "peak_mb": round(peak),
        "bar": f">= {_BAR_SPEED} a core, < {_BAR_MEMORY} of memory",
        "ok": megabytes / core >= _BAR_SPEED and peak < _BAR_MEMORY,
    }


def _work(work: str, folder: Path, megabytes: int) -> None:
    """In the process that is measured."""
    original, kept = folder / "original", folder / "staged.json"
    if work == "stage":
        _fill(original, megabytes)
    wall, core = time.perf_counter(), time.process_time()
    if work == "cipher":
        piece = os.urandom(CHUNK)
        count = megabytes * 10**6 // CHUNK
        for _ in FileSealer(Metadata("a", "text/plain", count * CHUNK)).seal(piece for _ in range(count)):
            pass
    elif work == "stage":
        staged = stage_file(folder / "profile", stage_name(), original, as_image=False)
        kept.write_text(json.dumps([staged.stage, staged.key.reveal().hex(), staged.sha256.hex(), staged.size]))
    else:
        stage, key, sha256, size = json.loads(kept.read_text())
        body = FileBody(
            blob=bytes(16), key=bytes.fromhex(key), sha256=bytes.fromhex(sha256), size=size, name="original",
            media="application/octet-stream", width=0, height=0, blurhash="", thumb=b"", caption="",
        )  # fmt: skip
        saving.save(folder / "profile" / FOLDER / stage, body, folder / "saved")
    wall, core = time.perf_counter() - wall, time.process_time() - core
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps([wall, core, peak / 10**6]))


def _fill(path: Path, megabytes: int) -> None:
    piece = os.urandom(10**6)
    with path.open("wb") as file:
        for _ in range(megabytes):
            file.write(piece)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        _work(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
    else:
        for row in run(int(sys.argv[1]) if sys.argv[1:] else SIZE_MB):
            print(row)
