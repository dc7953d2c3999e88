"""What both forms of the demonstration stand on: a throwaway folder and a real server process in it."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from mensajeria.cli.failure import CommandError

if TYPE_CHECKING:
    from types import TracebackType

START_S: Final = 30.0
STOP_S: Final = 10.0
_LISTENING: Final = "listening on "


def stop_process(process: subprocess.Popen[str]) -> None:
    """End a child: politely, then for good."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


class Stage:
    """A folder with a running server on a free loopback port; everything ends and vanishes with the `with` block.

    Attributes:
        folder: mode 0700; kept afterwards when it was given, removed when it was made here.
        url: the server's address.
    """

    def __init__(self, keep: Path | None = None) -> None:
        self._keep = keep
        self.folder = keep or Path()
        self.url = ""
        self._children: list[subprocess.Popen[str]] = []

    @property
    def server_folder(self) -> Path:
        """The server's data folder."""
        return self.folder / "server"

    def profile(self, name: str) -> Path:
        """A person's profile folder."""
        return self.folder / name

    def start(self, *arguments: str, pipe: bool = False) -> subprocess.Popen[str]:
        """Start `python ...arguments` as a child that ends with the stage."""
        process = subprocess.Popen(  # noqa: S603 - this interpreter, fixed arguments
            [sys.executable, *arguments],
            env=self._environment(),
            stdin=subprocess.PIPE if pipe else subprocess.DEVNULL,
            stdout=subprocess.PIPE if pipe else None,
            encoding="utf-8",
            # Ctrl-C in the terminal must reach this process alone, which ends the others in order.
            start_new_session=True,
        )
        self._children.append(process)
        return process

    def __enter__(self) -> Self:
        self.folder = self._keep or Path(tempfile.mkdtemp(prefix="mensajeria-demo-"))
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self.url = self._start_server()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the children, the last one first, and remove the folder."""
        for process in reversed(self._children):
            stop_process(process)
        self._children.clear()
        if self._keep is None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _environment(self) -> dict[str, str]:
        # The operator's own settings are not the demonstration's; its keys must not end up in the person's keyring.
        clean = {name: value for name, value in os.environ.items() if not name.startswith("MENSAJERIA_")}
        return (
            clean
            | {"MENSAJERIA_KEY_FILE": "plain", "MENSAJERIA_LOG_LEVEL": "warning", "PYTHONUNBUFFERED": "1"}
            | ({"MENSAJERIA_LANG": os.environ["MENSAJERIA_LANG"]} if "MENSAJERIA_LANG" in os.environ else {})
        )

    def _start_server(self) -> str:
        server = self.start(
            "-m",
            "mensajeria.cli",
            "serve",
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--data-dir",
            str(self.server_folder),
            pipe=True,
        )
        assert server.stdout is not None
        watchdog = threading.Timer(START_S, server.kill)
        watchdog.start()
        try:
            for line in server.stdout:
                if _LISTENING in line:
                    return line.partition(_LISTENING)[2].split()[0]
        finally:
            watchdog.cancel()
        raise CommandError("demo_server")


def new_password() -> str:
    """A password for a throwaway account."""
    return secrets.token_urlsafe(18)
