"""The folder and the FIFO that tie test servers to the life of one test run."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import tests.support.watchdog as watchdog_program

START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 15.0
MadeOnce = Callable[[str, Callable[[Path], None]], Path]
"""`Run.once`."""
MADE: Final = "made"
"""Where `Run.once` keeps what it has; every other folder of a run is a server's."""


class TestServerError(Exception):
    """A test server did not start; the message carries the end of its log."""

    __test__ = False  # not a test class, whatever its name


@dataclass(frozen=True, slots=True)
class Run:
    """A test run's folder as any of its processes sees it."""

    folder: Path
    _watchdogs: list[subprocess.Popen[bytes]] = field(default_factory=list, repr=False)

    @property
    def fifo(self) -> Path:
        """The pipe whose writing end the run's owner holds."""
        return self.folder / "alive"

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the run-wide lock `name`: one process at a time."""
        with (self.folder / f"{name}.lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def once(self, name: str, make: Callable[[Path], None]) -> Path:
        """The folder `name`, which `make` has filled for the first process of the run that asked; to copy."""
        made, draft = self.folder / MADE / name, self.folder / MADE / f"{name}.draft"
        with self.lock(name):
            if not made.exists():
                shutil.rmtree(draft, ignore_errors=True)  # of one that failed
                draft.mkdir(parents=True)
                make(draft)
                draft.rename(made)
        return made

    def start(
        self,
        folder: Path,
        command: Sequence[str],
        *,
        is_ready: Callable[[], bool],
        prepare: Sequence[Sequence[str]] = (),
        user: tuple[int, int] | None = None,
        stop_signal: str = "SIGTERM",
        always: bool = False,
    ) -> None:
        """Start a server under a watchdog and wait until it is ready; raises TestServerError when it is not in time.

        `always`: it is started again also after it has ended by itself, as often as it does.
        """
        log = self.folder / f"{folder.name}.log"
        spec = {
            "lifeline": str(self.fifo),
            "folder": str(folder),
            "prepare": [list(argv) for argv in prepare],
            "command": list(command),
            "log": str(log),
            "user": user,
            "stop_signal": stop_signal,
            "always": always,
        }
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", watchdog_program.__file__, json.dumps(spec)],
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal must reach the tests, not their servers
        )
        self._watchdogs.append(process)  # kept until the run ends: it is waited for only there
        deadline = time.monotonic() + START_SECONDS
        while not is_ready():
            if process.poll() is not None or time.monotonic() > deadline:
                tail = log.read_text(errors="replace")[-2000:] if log.exists() else "(no log)"
                raise TestServerError(f"{command[0]} did not start:\n{tail}")
            time.sleep(0.02)

    def wait_for_watchdogs(self) -> None:
        """Wait until the servers that this process started have ended (after the owner let go)."""
        for process in self._watchdogs:
            process.wait(STOP_SECONDS)
        self._watchdogs.clear()


class Lifeline:
    """Owns a run: while this object is open the run's servers live, when it or its process ends they end."""

    def __init__(self) -> None:
        # Short on purpose: a unix socket's path has 107 bytes at most.
        folder = Path(tempfile.mkdtemp(prefix="mensajeria-run-"))
        folder.chmod(0o711)  # the database runs as another user when the tests run as root
        self.run = Run(folder)
        os.mkfifo(self.run.fifo, 0o600)
        # Read and write, so that opening does not wait for a reader; not inherited by any child (PEP 446).
        self._fd: int | None = os.open(self.run.fifo, os.O_RDWR)

    def close(self) -> None:
        """End all servers of the run, wait for them, and remove the folder."""
        if self._fd is None:
            return
        os.close(self._fd)
        self._fd = None
        self.run.wait_for_watchdogs()
        deadline = time.monotonic() + STOP_SECONDS
        while self._has_servers() and time.monotonic() < deadline:
            time.sleep(0.02)
        shutil.rmtree(self.run.folder, ignore_errors=True)

    def _has_servers(self) -> bool:
        folder = self.run.folder
        return folder.exists() and any(entry.is_dir() and entry.name != MADE for entry in folder.iterdir())

    def __enter__(self) -> Run:
        return self.run

    def __exit__(self, *exc_info: object) -> None:
        self.close()
