"""The programs that tests start are forked from a process that has loaded them once: starting is most of their work.

Most of the CPU of a `mensajeria send` goes into loading modules, and the tests start hundreds of programs. Each worker
of pytest keeps one process that has loaded them (warm_start.py). `subprocess.Popen` of a known program asks it to fork
instead of starting Python again; the new process is a child of the worker like any other, with its own arguments,
environment, folder and standard files, and runs the function behind `python -m` from there on: signals, exit codes,
ends of pipes and `kill -9` are the real ones. Whatever else is asked for starts as ever.

Only on Linux, which can give a worker's grandchild to it.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

PROGRAMS: Final = frozenset({"mensajeria.cli", "tests.e2e.actor", "tests.server.program"})
"""Modules that may be started warm; warm_start.py loads them."""
_ROOT: Final = Path(__file__).parents[2]
_SUBREAPER: Final = 36  # PR_SET_CHILD_SUBREAPER
_AT_START: Final = ("PYTHON", "LC_", "LANG", "MALLOC_", "LD_")
"""Beginnings of the variables that Python and the C library read when they start."""
_ordinary: Final = subprocess.Popen._execute_child  # type: ignore[attr-defined]


class Nursery:
    """The process that forks, seen from the worker. It ends with the worker, whose end of the socket it watches."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._environment = _read_at_start(os.environ)

    def takes(self, args: object, environment: Mapping[str, str]) -> bool:
        """Whether this is a program that may be started warm."""
        if not isinstance(args, list | tuple):
            return False
        known = [*args[:2]] == [sys.executable, "-m"] and not PROGRAMS.isdisjoint(args[2:3])
        return known and _read_at_start(environment) == self._environment

    def start(self, args: Sequence[str], folder: str, environment: Mapping[str, str], files: Sequence[int]) -> int:
        """Start a program; its process id. `files` are its standard files."""
        request = {"module": args[2], "arguments": [*args[3:]], "folder": folder, "environment": {**environment}}
        with self._lock:
            _adopt(1)
            try:
                return self._ask(json.dumps(request).encode(), files)
            finally:
                _adopt(0)

    def _ask(self, request: bytes, files: Sequence[int]) -> int:
        if self._socket is None:
            self._socket = _begin()
        self._socket.sendall(len(request).to_bytes(4, "big"))
        socket.send_fds(self._socket, [request[:1]], files)
        self._socket.sendall(request[1:])
        answer = self._socket.recv(8)
        if not answer:
            self._socket = None
            raise RuntimeError("the process that starts programs has ended")
        return int.from_bytes(answer, "big")


def _begin() -> socket.socket:
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", "tests.support.warm_start", str(theirs.fileno())]
    with theirs:
        # It is never waited for: it ends with this process.
        nursery = subprocess.Popen(command, pass_fds=[theirs.fileno()], cwd=_ROOT, stdin=subprocess.DEVNULL)
    nursery.returncode = 0  # no warning about a process that still runs
    return ours


def _adopt(on: int) -> None:
    """Whether a process whose parent ends becomes this one's child."""
    ctypes.CDLL(None).prctl(_SUBREAPER, on, 0, 0, 0)


def _read_at_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_AT_START)}


def install() -> None:
    """Let `subprocess.Popen`, and with it asyncio, start known programs warm from now on."""
    if sys.platform != "linux":
        return
    nursery = Nursery()

    def execute_child(
        self: subprocess.Popen[Any],
        args: Any,
        executable: Any,
        preexec_fn: Any,
        close_fds: Any,
        pass_fds: Any,
        cwd: Any,
        env: Any,
        startupinfo: Any,
        creationflags: Any,
        shell: Any,
        p2cread: int,
        p2cwrite: int,
        c2pread: int,
        c2pwrite: int,
        errread: int,
        errwrite: int,
        *rest: Any,
    ) -> None:
        environment = os.environ if env is None else env
        unusual = [executable, preexec_fn, pass_fds, shell, *(one for one in rest[1:] if one not in {-1, None, False})]
        if any(unusual) or not nursery.takes(args, environment):
            _ordinary(
                self, args, executable, preexec_fn, close_fds, pass_fds, cwd, env, startupinfo, creationflags, shell,
                p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite, *rest,
            )  # fmt: skip
            return
        files = [own if given == -1 else given for own, given in enumerate((p2cread, c2pwrite, errwrite))]
        sys.stdout.flush()
        try:
            self.pid = nursery.start(args, os.fspath(cwd or Path.cwd()), environment, files)
            self._child_created = True  # type: ignore[attr-defined]
        finally:
            self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)  # type: ignore[attr-defined]

    subprocess.Popen._execute_child = execute_child  # type: ignore[attr-defined]
