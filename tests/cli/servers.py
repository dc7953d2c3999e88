"""A real server process for the tests of the command line and of the windows."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

START_S = 30.0
PASSWORD = "caballo correcto pila 47"


def clean_environment(**extra: str) -> dict[str, str]:
    """The environment without anybody's own settings, in English, with keys in files of the profile."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MENSAJERIA_")}
    own.pop(
        "PYTHONDONTWRITEBYTECODE", None
    )  # dozens of short processes: compiling everything again takes most of the time
    return own | {"MENSAJERIA_LANG": "en", "MENSAJERIA_KEY_FILE": "plain", "MENSAJERIA_PASSWORD": PASSWORD, **extra}


@dataclass
class RunningServer:
    """A server in a process of its own, which can be killed and started again on the same port and folder."""

    folder: Path
    port: int = 0
    process: subprocess.Popen[str] | None = None
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "mensajeria.cli",
            "serve",
            "--port",
            str(self.port),
            "--data-dir",
            str(self.folder),
        ]
        environment = clean_environment(MENSAJERIA_LOG_LEVEL="warning", **self.settings)
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        self.port = int(self._ready_line().rsplit(":", 1)[1])

    def _ready_line(self) -> str:
        assert self.process is not None
        assert self.process.stdout is not None
        timer = threading.Timer(START_S, self.process.kill)
        timer.start()
        try:
            for line in self.process.stdout:
                if line.startswith("listening on "):
                    return line.strip()
        finally:
            timer.cancel()
        raise AssertionError(f"the server did not start: exit {self.process.wait()}")

    def kill(self) -> None:
        self._end("kill")

    def stop(self) -> int:
        return self._end("terminate")

    def _end(self, how: str) -> int:
        assert self.process is not None
        getattr(self.process, how)()
        status = self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None
        return status


@contextlib.contextmanager
def running_server(folder: Path, made: Path | None = None, /, **settings: str) -> Iterator[RunningServer]:
    """A server in an empty folder, or with a copy of one that was made before; ends with the block."""
    if made is not None:
        shutil.copytree(made, folder, dirs_exist_ok=True)
    server = RunningServer(folder, settings=settings)
    server.start()
    try:
        yield server
    finally:
        if server.process is not None:
            server.kill()
