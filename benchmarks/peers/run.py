"""`python -m benchmarks peers`: the servers side by side, interleaved, several rounds, medians and ratios.

    python -m benchmarks peers --rounds 3
    python -m benchmarks peers --peers ours,bare --works W1,W2 --seconds 4
    python -m benchmarks peers --scratch /dev/shm        databases on a memory disk: the servers without the disk
    python -m benchmarks peers --works W1 --out results.jsonl        piece by piece, then
    python -m benchmarks peers --merge results.jsonl --write PERF.md

W1: 50 pairs, each sender keeps 8 messages of 300 bytes in flight until they are delivered. W2: the same pairs at 100
messages a second in all. 10k: at 10,000. W3: a group of 100, one sender, 8 in flight; a message counts when all others
have it. W4: idle sessions. Every server starts anew for each measurement, in an empty temporary folder, on 127.0.0.1.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import traceback
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

import uvloop

from benchmarks.lib import proc
from benchmarks.lib.disk import DiskProbe, figures
from benchmarks.lib.peer import Peer
from benchmarks.lib.work import WORKS, Size
from benchmarks.peers import PEERS, USUAL
from benchmarks.peers.report import line, report
from tests.support.lifeline import Lifeline

BEGIN: Final = "<!-- peers: begin -->"
END: Final = "<!-- peers: end -->"
LIMIT_S: Final = 240.0
"""A measurement that takes longer has failed."""


def main(arguments: Sequence[str]) -> int:
    """Run; 1 when a measurement failed."""
    given = _parser().parse_args(arguments)
    if given.merge:
        rows = [json.loads(text) for path in given.merge for text in path.read_text().splitlines()]
        _tell(report(rows), given.write)
        return 0
    proc.raise_open_files()
    rows = []
    for kind, work, round_ in _plan(given):
        row = measure(kind, work, _size(given), given.scratch, keep=given.keep) | {"round": round_}
        rows.append(row)
        print(line(row), file=sys.stderr, flush=True)
        if given.out:
            with given.out.open("a") as out:
                out.write(json.dumps(row) + "\n")
    _tell(report(rows), given.write)
    return int(any("error" in row for row in rows))


def _tell(text: str, document: Path | None) -> None:
    """Print the tables, and put them into the document, between its two marks, if one is given."""
    print(text)
    if document is not None:
        before, begin, rest = document.read_text().partition(BEGIN)
        _, end, after = rest.partition(END)
        if not begin or not end:
            raise ValueError(f"{document} has no place for the tables: {BEGIN} ... {END}")
        document.write_text(f"{before}{BEGIN}\n```\n{text}\n```\n{END}{after}")


def _plan(given: argparse.Namespace) -> list[tuple[type[Peer], str, int]]:
    """What to measure, in this order: the peers take turns, so that a slow minute of the machine meets all alike."""
    chosen = []
    for name in given.peers:
        if PEERS[name].is_available():
            chosen.append(PEERS[name])
        else:
            print(f"{name} is missing: {PEERS[name].install}", file=sys.stderr)
    rounds = range(given.first_round, given.first_round + given.rounds)
    return [(kind, work, number) for number in rounds for work in given.works for kind in chosen if work in kind.works]


def measure(
    kind: type[Peer], work: str, size: Size, scratch: Path | None = None, *, keep: bool = False
) -> dict[str, Any]:
    """One measurement: a row for the report. A failure is a row, too."""
    tempfile.tempdir = None if scratch is None else str(scratch)
    folder = Path(tempfile.mkdtemp(prefix="mensajeria-bench-"))
    folder.chmod(0o755)  # some servers run as their own user
    row: dict[str, Any] = {"peer": kind.name, "work": work, "durability": kind.durability, "disk": _disk(folder)}
    calibration = proc.calibrate()
    try:
        with Lifeline() as own, DiskProbe(folder) if row["disk"] == "disk" else nullcontext() as probe:
            peer = kind(folder, own)
            row["version"] = peer.version()
            try:
                peer.start()
                row |= uvloop.run(asyncio.wait_for(WORKS[work](peer, size), LIMIT_S))
                if probe is not None and "begun_s" in row:
                    row |= figures(probe.stop(), row["begun_s"], row["seconds"])
            finally:
                peer.stop()
    except Exception as error:  # noqa: BLE001 - one peer's failure is a result
        traceback.print_exc()
        row["error"] = repr(error)[:300]
    finally:
        tempfile.tempdir = None
        if keep:
            print(f"kept: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return row | {"calibration_ms": [calibration, proc.calibrate()]}


def _disk(folder: Path) -> str:
    """ "memory" when the folder is on a file system in memory, else "disk"."""
    mounts = [text.split() for text in Path("/proc/mounts").read_text().splitlines()]
    found = [(mount[1], mount[2]) for mount in mounts if folder.is_relative_to(mount[1])]
    return "memory" if max(found, key=lambda one: len(one[0]))[1] in {"tmpfs", "ramfs"} else "disk"


def _size(given: argparse.Namespace) -> Size:
    return Size(sessions=given.sessions, warmup_s=given.warmup, seconds=given.seconds)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", type=_some_of(PEERS), default=list(USUAL), help=f"of {','.join(PEERS)}")
    parser.add_argument("--works", type=_some_of(WORKS), default=list(WORKS), help=f"of {','.join(WORKS)}")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--first-round", type=int, default=1, help="number of the first round, for --out")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of each measurement")
    parser.add_argument("--warmup", type=float, default=2.0)
    parser.add_argument("--sessions", type=int, default=2000, help="of W4")
    parser.add_argument("--scratch", type=Path, help="folder for all databases, e.g. one on a memory disk")
    parser.add_argument("--out", type=Path, help="append the results to this file, one JSON object a line")
    parser.add_argument("--merge", type=Path, nargs="+", help="measure nothing: report what these files hold")
    parser.add_argument("--write", type=Path, help="put the tables into this document (PERF.md)")
    parser.add_argument("--keep", action="store_true", help="keep the servers' folders, with their logs")
    return parser


def _some_of(names: Any) -> Any:
    def chosen(text: str) -> list[str]:
        parts = text.split(",")
        if unknown := [part for part in parts if part not in names]:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}")
        return parts

    return chosen
