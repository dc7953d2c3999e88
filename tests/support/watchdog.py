"""Keeps one test server running for as long as its owner lives, whatever becomes of the owner.

Started as a program of its own (`python -I -S watchdog.py SPEC`) so that neither Ctrl-C nor `kill -9` of the test run
leaves a server or a folder behind: the owner holds the writing end of a FIFO, and the kernel closes it for the owner.
Uses only the standard library, and none of the project, to start fast. SPEC is JSON:

    lifeline    path of the FIFO           folder    what to remove at the end
    prepare     commands to run first      command   the server, in the foreground
    log         where all output goes      user      [uid, gid] to run as, or null
    stop_signal name of the signal that ends the server quickly
    always      true: start it again however it ends
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

POLL_SECONDS = 0.1
STOP_SECONDS = 10.0
TRIES_AFTER_A_KILL = 20


def owner_is_gone(lifeline: int) -> bool:
    """Tell whether no process holds the writing end any more."""
    try:
        return os.read(lifeline, 1) == b""
    except BlockingIOError:
        return False


def start(spec: dict[str, Any], argv: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start `argv` as the user the specification names, in the server's folder."""
    identity: dict[str, Any] = {}
    if spec["user"] is not None:
        uid, gid = spec["user"]
        identity = {"user": uid, "group": gid, "extra_groups": []}
    return subprocess.Popen(argv, cwd=spec["folder"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, **identity)


def stop(server: subprocess.Popen[bytes], stop_signal: int) -> None:
    """End the server, by force if it does not follow the signal."""
    if server.poll() is None:
        server.send_signal(stop_signal)
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def supervise(spec: dict[str, Any], lifeline: int, log: IO[bytes]) -> None:
    """Run the server until the owner is gone; start it again when a test killed it.

    A server that ends by itself is misconfigured, unless one was killed just before: then the new one may have to wait
    for what the old one left, and may try several times. Or unless a test makes it end by itself (`always`).
    """
    tries = 1
    while tries > 0 and not owner_is_gone(lifeline):
        server = start(spec, spec["command"], log)
        try:
            while server.poll() is None and not owner_is_gone(lifeline):
                time.sleep(POLL_SECONDS)
        finally:
            stop(server, signal.Signals[spec["stop_signal"]])
        tries = TRIES_AFTER_A_KILL if server.returncode < 0 or spec["always"] else tries - 1


def main() -> int:
    """Prepare, supervise, clean up."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)  # only the owner's end ends the server
    spec = json.loads(sys.argv[1])
    lifeline = os.open(spec["lifeline"], os.O_RDONLY | os.O_NONBLOCK)
    try:
        with Path(spec["log"]).open("ab") as log:
            if all(start(spec, argv, log).wait() == 0 for argv in spec["prepare"]):
                supervise(spec, lifeline, log)
                return 0
            return 1
    finally:
        shutil.rmtree(spec["folder"], ignore_errors=True)
        if owner_is_gone(lifeline):
            remove_empty_run_folder(Path(spec["lifeline"]))


def remove_empty_run_folder(fifo: Path) -> None:
    """Remove the run's folder when the owner could not and this was its last server."""
    if not any(entry.is_dir() for entry in fifo.parent.iterdir()):
        with contextlib.suppress(OSError):
            shutil.rmtree(fifo.parent)


if __name__ == "__main__":
    sys.exit(main())
