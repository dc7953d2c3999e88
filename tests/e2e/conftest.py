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
from dataclasses import dataclass
from pathlib import Path

import pytest

from mensajeria.client import Client
from mensajeria.kit.secrets import Secret
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


@dataclass(frozen=True)
class Prepared:
    """A server's folder and profiles of people who have just registered there, for every test to copy."""

    folder: Path
    port: int
    codes: dict[str, Secret]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Made once by each worker: tables, registrations and their Argon2 take seconds."""
    made = Prepared(tmp_path_factory.mktemp("prepared"), free_port(), {})
    process = ServerProcess(made.folder / "server", made.port)
    process.start()
    try:
        asyncio.run(_register_all(process.url, made))
    finally:
        process.stop()
    return made


async def _register_all(url: str, made: Prepared) -> None:
    for name, password in PASSWORDS.items():
        async with await Client.register(
            url, name, password, profile=made.folder / name, insecure_key_file=True, device_name="test"
        ) as client:
            await client.caught_up()
            assert client.recovery_code is not None
            made.codes[name] = client.recovery_code


@pytest.fixture
def server(prepared: Prepared, tmp_path: Path) -> Iterator[ServerProcess]:
    """Where everybody in `PASSWORDS` is registered."""
    shutil.copytree(prepared.folder / "server", tmp_path / "server")
    process = ServerProcess(tmp_path / "server", prepared.port)
    process.start()
    yield process
    process.kill()


@pytest.fixture
def empty_server(tmp_path: Path) -> Iterator[ServerProcess]:
    """Where nobody is."""
    process = ServerProcess(tmp_path / "server", free_port())
    process.start()
    yield process
    process.kill()


Register = Callable[[str], Awaitable[Client]]


@pytest.fixture
async def register(server: ServerProcess, prepared: Prepared, tmp_path: Path) -> AsyncIterator[Register]:
    """Somebody who has just registered, online; closed at the end of the test."""
    clients: list[Client] = []

    async def make(name: str) -> Client:
        await asyncio.to_thread(shutil.copytree, prepared.folder / name, tmp_path / name)
        client = await Client.open(tmp_path / name)
        clients.append(client)
        await client.caught_up()
        return client

    yield make
    for client in clients:
        await client.close()
