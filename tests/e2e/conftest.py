"""Real server processes and real clients."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from mensajeria.client import Client
from tests.attacks.stage import point_to
from tests.support.lifeline import MadeOnce
from tests.support.net import free_port

PASSWORDS = {"ana": "correcto caballo 77 bateria", "bruno": "otra clave larga 88 verde", "eva": "tercera frase 99 roja"}


class ServerProcess:
    """`mensajeria serve` on one port and data folder, which can be killed and started again."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder
        self.port = port or free_port()
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


@pytest.fixture(scope="session")
def prepared(made_server: Path, made_once: MadeOnce) -> Path:
    """A server's folder and profiles of people who have just registered there, for every test to copy."""

    def make(folder: Path) -> None:
        shutil.copytree(made_server, folder / "server")
        process = ServerProcess(folder / "server")
        process.start()
        try:
            asyncio.run(_register_all(process.url, folder))
        finally:
            process.stop()

    return made_once("registered", make)


async def _register_all(url: str, folder: Path) -> None:
    for name, password in PASSWORDS.items():
        async with await Client.register(
            url, name, password, profile=folder / name, insecure_key_file=True, device_name="test"
        ) as client:
            await client.caught_up()


@pytest.fixture
def server(prepared: Path, tmp_path: Path) -> Iterator[ServerProcess]:
    """Where everybody in `PASSWORDS` is registered."""
    shutil.copytree(prepared / "server", tmp_path / "server")
    process = ServerProcess(tmp_path / "server")
    process.start()
    yield process
    process.kill()


@pytest.fixture
def empty_server(made_server: Path, tmp_path: Path) -> Iterator[ServerProcess]:
    """Where nobody is."""
    shutil.copytree(made_server, tmp_path / "server")
    process = ServerProcess(tmp_path / "server")
    process.start()
    yield process
    process.kill()


Register = Callable[[str], Awaitable[Client]]


@pytest.fixture
async def register(server: ServerProcess, prepared: Path, tmp_path: Path) -> AsyncIterator[Register]:
    """Somebody who has just registered, online; closed at the end of the test."""
    clients: list[Client] = []

    async def make(name: str) -> Client:
        await asyncio.to_thread(shutil.copytree, prepared / name, tmp_path / name)
        await asyncio.to_thread(point_to, tmp_path / name, server.url)
        client = await Client.open(tmp_path / name)
        clients.append(client)
        await client.caught_up()
        return client

    yield make
    for client in clients:
        await client.close()
