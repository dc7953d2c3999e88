"""Real server processes and real clients."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from mensajeria.client import Client
from tests.support.net import free_port

PASSWORDS = {"ana": "correcto caballo 77 bateria", "bruno": "otra clave larga 88 verde", "eva": "tercera frase 99 roja"}


class ServerProcess:
    """`mensajeria serve` on one port and data folder, which can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder.with_suffix(".log")
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start and wait until it listens."""
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
        with self.log.open("a") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if re.search(r"http://", line):
                return
        raise AssertionError(f"the server did not start:\n{self.log.read_text()[-3000:]}")

    def kill(self) -> None:
        """SIGKILL, in the middle of whatever it does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, and wait for the drain."""
        self._end(signal.SIGTERM)

    def _end(self, sign: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, sign)
            self._process.wait(20)
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    process = ServerProcess(tmp_path / "server")
    process.start()
    yield process
    process.kill()


Register = Callable[[str], Awaitable[Client]]


@pytest.fixture
async def register(server: ServerProcess, tmp_path: Path) -> AsyncIterator[Register]:
    """Register somebody and wait until they are online; closed at the end of the test."""
    clients: list[Client] = []

    async def make(name: str) -> Client:
        client = await Client.register(
            server.url, name, PASSWORDS[name], profile=tmp_path / name, insecure_key_file=True, device_name="test"
        )
        clients.append(client)
        await client.caught_up()
        return client

    yield make
    for client in clients:
        await client.close()
