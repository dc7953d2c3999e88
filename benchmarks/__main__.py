"""`python -m benchmarks`: what the program does on this machine, beside what the machine could do at best.

The speed of a shared machine moves: judge by ratios within one run, never by one absolute number.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import platform
import sys
from typing import Any, Final

from benchmarks.lib import proc
from benchmarks.lib.stats import table

PARTS: Final = ("server", "memory", "crypto", "groups", "files", "desktop")
MODULES: Final = {
    "server": "benchmarks.server",
    "memory": "benchmarks.memory",
    "crypto": "benchmarks.crypto",
    "groups": "benchmarks.group_keys",
    "files": "benchmarks.files",
    "desktop": "benchmarks.desktop_timeline",
}
PROGRAMS: Final = {
    "peers": "benchmarks.peers.run",
    "growth": "benchmarks.growth",
    "latency": "benchmarks.latency",
    "steps": "benchmarks.steps",
}
"""Programs with arguments of their own."""


def main() -> int:
    """Run the chosen parts and print their tables."""
    if sys.argv[1:] and sys.argv[1] in PROGRAMS:
        return int(importlib.import_module(PROGRAMS[sys.argv[1]]).main(sys.argv[2:]))
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.epilog = f"programs of their own, with --help: {', '.join(PROGRAMS)}"
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each measurement of the server")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), help="only this one")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    report: dict[str, Any] = {"machine": machine(), "calibration_ms": [proc.calibrate()]}
    for part in given.parts or PARTS:
        if not is_runnable(part):
            continue
        rows = run(part, given)
        report[part] = rows
        if not given.json:
            print(f"\n{part}\n{show(part, rows)}", flush=True)
    report["calibration_ms"].append(proc.calibrate())
    if given.json:
        json.dump(report, sys.stdout, indent=1)
        print()
    else:
        before, after = report["calibration_ms"]
        print(f"\n{report['machine']}; fixed piece of Python before/after: {before:.1f}/{after:.1f} ms")
    return 0


def is_runnable(part: str) -> bool:
    """Whether the part is there and can be called from here; one that is a program of its own is not."""
    return importlib.util.find_spec(MODULES[part]) is not None and hasattr(
        importlib.import_module(MODULES[part]), "run"
    )


def run(part: str, given: argparse.Namespace) -> list[dict[str, Any]]:
    """One part's rows: its module's `run`, called with what it takes."""
    module = importlib.import_module(MODULES[part])
    if part == "server":
        databases = (given.database,) if given.database else ("sqlite", "postgresql")
        rows: list[dict[str, Any]] = module.run(given.seconds, databases)
        return rows
    return list(module.run())


def show(part: str, rows: list[dict[str, Any]]) -> str:
    """A table; a part may name its columns in COLUMNS."""
    columns = getattr(importlib.import_module(MODULES[part]), "COLUMNS", None) or list(rows[0] if rows else {})
    return table(rows, columns)


def machine() -> str:
    """What this was measured on."""
    return f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}, Python {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main())
