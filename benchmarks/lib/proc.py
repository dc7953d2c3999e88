"""Starting processes, and what they cost, read from /proc: CPU and memory of a process with all its descendants."""

from __future__ import annotations

import os
import pwd
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

TICK_MS = 1000.0 / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> tuple[int, float] | None:
    """(parent, CPU ms, reaped children included) of one process."""
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


def pss_mb(root: int) -> float:
    """Memory of a process tree in MiB; what several processes share counts once (PSS)."""
    return _memory_mb(root, "Pss:")


def rss_mb(root: int) -> float:
    """As `pss_mb`, with what others share counted in full."""
    return _memory_mb(root, "Rss:")


def _memory_mb(root: int, field: str) -> float:
    kilobytes = 0
    for pid in tree([root]):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith(field))
    return kilobytes / 1024


def stolen_ms() -> float:
    """Processor time that the host of this virtual machine has given to others since it runs; 0 on real processors."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return int(fields[8]) * TICK_MS


def stolen_percent(before_ms: float, seconds: float) -> float:
    """What was stolen since `stolen_ms` said `before_ms`, of all processors' time in these seconds."""
    return (stolen_ms() - before_ms) / (seconds * 10.0 * (os.cpu_count() or 1))


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


def raise_open_files(wanted: int = 25_000) -> None:
    """Let this process and those it starts open that many files, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def service_user(name: str) -> str | None:
    """`name` when this is root and it exists: a server should then run as its own user. Else None."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(name).pw_name
    except KeyError:
        return None


def folder_for(path: Path, user: str | None) -> Path:
    """A new folder that belongs to the user."""
    path.mkdir()
    if user is not None:
        entry = pwd.getpwnam(user)
        os.chown(path, entry.pw_uid, entry.pw_gid)
    return path


def spawn(
    command: Sequence[str | Path],
    *,
    log: Path,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    user: str | None = None,
) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own, what it says in `log`."""
    group = None if user is None else pwd.getpwnam(user).pw_gid
    with log.open("ab") as out:
        return subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            user=user,
            group=group,
            extra_groups=None if user is None else [],
            start_new_session=True,
        )


def stop(process: subprocess.Popen[bytes] | None, timeout_s: float = 20.0) -> None:
    """Ask the process to end and wait; kill it when it does not."""
    if process is None or process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout_s)


def wait_for_port(port: int, process: subprocess.Popen[bytes], timeout_s: float = 60.0) -> None:
    """Wait until something listens on 127.0.0.1.

    Raises:
        RuntimeError: the process ended first.
        TimeoutError: nothing listens in time.
    """
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"the server exited with {process.returncode} before it listened")
        try:
            with socket.create_connection(("127.0.0.1", port), 0.5):
                return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(f"nothing listens on port {port} after {timeout_s} s")
