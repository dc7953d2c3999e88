"""Several processes that serve one listening socket: start them, start again what falls, end them together.

The parent opens the socket and serves nothing itself. A worker that falls takes only its own connections along: what
waits to be accepted is taken by the others. When the parent falls, its workers see the end of their pipe and drain.
docs/decisions/0008-workers-under-a-supervisor.md tells why it is not uvicorn's own.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any, Final, Protocol

import structlog

POLL_S: Final = 0.2
BACKOFF_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Pauses before a worker that has just fallen is started again, from the first time on."""
HEALTHY_S: Final = 30.0
"""Who has lived so long begins again at the first pause."""
STOP_S: Final = 20.0
"""How long the workers' drain may take."""
_log = structlog.get_logger(__name__)
_spawn: Final = multiprocessing.get_context("spawn")


class Work(Protocol):
    """What a worker does: serves until a signal, and calls `ready` once, the last argument."""

    def __call__(self, *arguments: Any) -> None:
        """See there."""
        ...


class Slot:
    """The place of one worker."""

    def __init__(self, work: Work, arguments: tuple[Any, ...]) -> None:
        self._work = work
        self._arguments = arguments
        self._falls = 0
        self._began = 0.0
        self._again_at = 0.0
        self.is_ready = False
        self.process: multiprocessing.process.BaseProcess | None = None
        self.pipe: Connection | None = None

    def start(self) -> None:
        """Start the process."""
        self.pipe, theirs = _spawn.Pipe()
        self.process = _spawn.Process(target=_begin, args=(self._work, self._arguments, theirs))
        self.process.start()
        theirs.close()
        self._began = time.monotonic()

    def look(self) -> bool:
        """Hear what the worker says; false when it has fallen."""
        if self.pipe is not None and not self.is_ready:
            with contextlib.suppress(EOFError, OSError):
                self.is_ready = self.pipe.poll() and self.pipe.recv() == "ready"
        return self.process is None or self.process.is_alive()

    def bury(self) -> None:
        """The worker has fallen: start again after a pause."""
        assert self.process is not None
        now = time.monotonic()
        self._falls = 0 if now - self._began > HEALTHY_S else self._falls
        pause = BACKOFF_S[min(self._falls, len(BACKOFF_S) - 1)]
        _log.warning("worker_fell", code=self.process.exitcode, seconds=pause)
        self._falls += 1
        self._again_at = now + pause
        self.release()

    def start_again_in_time(self) -> None:
        """Start the process if the pause is over."""
        if self.process is None and time.monotonic() >= self._again_at:
            self.start()

    def release(self) -> None:
        """Give up what belongs to a process that has ended."""
        if self.process is not None:
            self.process.join()
            self.process.close()
        if self.pipe is not None:
            self.pipe.close()
        self.process = self.pipe = None
        self.is_ready = False


class Supervisor:
    """Runs in the main thread of the parent."""

    def __init__(self, workers: int, work: Work, arguments: tuple[Any, ...]) -> None:
        """`work` is called in each worker with `arguments`, which are pickled, and `ready`."""
        self._slots = [Slot(work, arguments) for _ in range(workers)]
        self._signals = 0

    def run(self, ready: Callable[[], None]) -> bool:
        """Supervise until SIGINT or SIGTERM; a second signal ends the workers by force.

        `ready` is called once, when all workers are. False when one fell before: then all are ended.
        """
        with self._catching_signals():
            try:
                for slot in self._slots:
                    slot.start()
                if not self._until_ready():
                    return self._signals > 0
                ready()
                while not self._signals:
                    self._step()
                return True
            finally:
                self._stop()

    def _until_ready(self) -> bool:
        while not self._signals:
            looks = [slot.look() for slot in self._slots]
            if not all(looks):
                return False
            if all(slot.is_ready for slot in self._slots):
                return True
            self._pause()
        return False

    def _step(self) -> None:
        for slot in self._slots:
            if slot.look():
                slot.start_again_in_time()
            else:
                slot.bury()
        self._pause()

    def _pause(self) -> None:
        """Until a worker ends, or a moment."""
        wait([slot.process.sentinel for slot in self._slots if slot.process is not None], POLL_S)

    def _stop(self) -> None:
        running = [slot for slot in self._slots if slot.process is not None]
        for slot in running:
            _signal(slot, signal.SIGTERM)
        deadline = time.monotonic() + STOP_S
        while any(slot.look() for slot in running) and time.monotonic() < deadline and self._signals < 2:  # noqa: PLR2004 - a second signal
            time.sleep(POLL_S / 4)
        for slot in running:
            if slot.look():
                _log.warning("worker_did_not_drain")
                _signal(slot, getattr(signal, "SIGKILL", signal.SIGTERM))
            slot.release()

    @contextlib.contextmanager
    def _catching_signals(self) -> Iterator[None]:
        def count(_number: int, _frame: object) -> None:
            self._signals += 1

        before = [(number, signal.signal(number, count)) for number in (signal.SIGINT, signal.SIGTERM)]
        try:
            yield
        finally:
            for number, handler in before:
                signal.signal(number, handler)


def _signal(slot: Slot, number: int) -> None:
    if slot.process is not None and slot.process.pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(slot.process.pid, number)


def _begin(work: Work, arguments: tuple[Any, ...], pipe: Connection) -> None:
    """The worker's first function."""
    threading.Thread(target=_end_with_parent, args=(pipe,), name="parent", daemon=True).start()
    try:
        work(*arguments, lambda: pipe.send("ready"))
    except Exception:  # noqa: BLE001 - the log is where the operator looks; the parent sees the exit code
        _log.exception("worker_failed")
        sys.exit(1)


def _end_with_parent(pipe: Connection) -> None:
    """The parent never writes: when there is something to read, it is the end."""
    with contextlib.suppress(EOFError, OSError):
        pipe.poll(None)
    signal.raise_signal(signal.SIGTERM)
