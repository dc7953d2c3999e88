"""What processes cost, read from /proc: CPU of a process with all its descendants, living and reaped."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

TICK_MS = 1000.0 / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> tuple[int, float] | None:
    """(parent, CPU ms) of one process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return int(fields[1]), sum(map(int, fields[11:15])) * TICK_MS


def tree(roots: Iterable[int]) -> list[int]:
    """The given processes and all their descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))):
            children.setdefault(stat[0], []).append(int(entry.name))
    found, todo = [], list(roots)
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo.extend(children.get(pid, ()))
    return found


def cpu_ms(root: int) -> float:
    """User and system time of a process tree."""
    return sum(stat[1] for pid in tree([root]) if (stat := _stat(pid)))


def own_cpu_ms() -> float:
    """User and system time of this process."""
    return sum(os.times()[:2]) * 1000


def calibrate() -> float:
    """Milliseconds of CPU for a fixed piece of Python: how fast the core is just now. Best of three."""
    best = float("inf")
    for _ in range(3):
        begun, value = time.process_time(), 0
        for number in range(400_000):
            value = (value * 31 + number) & 0xFFFFFFFF
        best = min(best, time.process_time() - begun)
    return best * 1000
