"""The process that has loaded the programs and forks; see warm.py. Its argument is the number of its socket's file."""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import json
import os
import pkgutil
import runpy
import socket
import sys
import threading
import traceback
from importlib import import_module
from typing import Any, Final

from tests.support import shipped

_LATE: Final = ("httpx", "mensajeria.protocol.api", "mensajeria.server.serve", "uvloop")
"""What the programs load only when they need it."""
_NOT: Final = frozenset({"demo", "desktop"})
"""Commands that bring the windows along."""


def load() -> None:
    """Everything that the programs import."""
    folder = import_module("mensajeria.cli.commands").__path__
    for module in pkgutil.iter_modules(folder, "mensajeria.cli.commands."):
        if module.name.rpartition(".")[2] not in _NOT:
            import_module(module.name)
    for name in ("mensajeria.cli.main", "mensajeria.client.client", *_LATE):
        import_module(name)
    shipped.use(shipped=False)


def serve(requests: socket.socket) -> dict[str, Any]:
    """Fork for each request; returns in the processes that were forked, ends in the one that forks."""
    while True:
        size = requests.recv(4, socket.MSG_WAITALL)
        if not size:
            sys.exit(0)
        begin, files, _, _ = socket.recv_fds(requests, 1, 3)
        request = begin + requests.recv(int.from_bytes(size, "big") - 1, socket.MSG_WAITALL)
        if (pid := _fork_twice()) == 0:
            requests.close()
            return _become(json.loads(request), files)
        for file in files:
            os.close(file)
        requests.sendall(pid.to_bytes(8, "big"))


def _fork_twice() -> int:
    """0 in the new process; its id here, when it has got the worker as its parent."""
    reading, writing = os.pipe()
    if (between := os.fork()) == 0:
        if (pid := os.fork()) == 0:
            os.close(reading)
            os.close(writing)
            return 0
        os.write(writing, pid.to_bytes(8, "big"))
        os._exit(0)
    os.waitpid(between, 0)
    pid = int.from_bytes(os.read(reading, 8), "big")
    os.close(reading)
    os.close(writing)
    return pid


def _become(request: dict[str, Any], files: list[int]) -> dict[str, Any]:
    """Standard files, folder and environment as the program would find them."""
    for own, file in enumerate(files):
        os.dup2(file, own)
        os.close(file)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    _open_standard_files()
    return request


def _open_standard_files() -> None:
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        was = getattr(sys, name)
        reads = name == "stdin"
        buffer = io.open(number, "rb" if reads else "wb", closefd=False)  # noqa: SIM115, UP020 - for good
        text = io.TextIOWrapper(
            buffer,
            encoding=was.encoding,
            errors=was.errors,
            line_buffering=name == "stderr" or buffer.isatty(),
            write_through=not reads and was.write_through,
        )
        setattr(sys, name, text)
        setattr(sys, f"__{name}__", text)


def run(module: str, arguments: list[str]) -> int:
    """What `python -m module` does, to the status it ends with."""
    sys.argv[1:] = arguments
    try:
        runpy._run_module_as_main(module)  # type: ignore[attr-defined]
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        sys.stderr.write(f"{end.code}\n")
        return 1
    except BaseException:  # noqa: BLE001 - Python's own last word
        traceback.print_exc()
        return 1
    return 0


def end(status: int) -> None:
    """Wait for threads, do what was left for the end, and go; what lies in memory is not taken apart piece by piece."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    load()
    assert threading.active_count() == 1, "who forks has no threads"
    gc.collect()
    gc.freeze()
    wanted = serve(socket.socket(fileno=int(sys.argv[1])))
    end(run(wanted["module"], wanted["arguments"]))
