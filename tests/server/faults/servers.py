"""Servers that belong together, each on its own port, so that a test knows who is connected to which."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.request import urlopen

from tests.server.process import ServerProcess, World, start_server_process


@dataclass
class Cluster:
    """The n-th server can be killed and started again; its address changes."""

    folder: Path
    database_url: str
    redis_url: str | None
    workers: int = 1
    """Of each server."""
    servers: list[ServerProcess] = field(default_factory=list)
    worlds: list[World] = field(default_factory=list)

    async def start(self, index: int | None = None) -> None:
        """Start one more server, or the n-th again."""
        server = await asyncio.to_thread(self._start)
        if index is None:
            self.servers.append(server)
            self.worlds.append(await World.of(server))
        else:  # its facts and keys are as before, and the database may be away again by now
            self.servers[index], self.worlds[index] = server, replace(self.worlds[index], server=server)

    def _start(self) -> ServerProcess:
        settings = {"MENSAJERIA_WORKERS": str(self.workers)}
        if self.redis_url is not None:
            settings["MENSAJERIA_REDIS_URL"] = self.redis_url
        with (self.folder / "log").open("a") as log:
            return start_server_process(self.folder / "data", self.database_url, log=log, settings=settings)

    async def ready(self, until: float) -> None:
        """Wait until every server says that it can be given work; raises TimeoutError at `until` (monotonic)."""
        for server in self.servers:
            while not await asyncio.to_thread(_is_ready, server.port):
                if time.monotonic() > until:
                    raise TimeoutError(f"port {server.port} is not ready")
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """End them all."""
        for server in self.servers:
            if server.process.poll() is None:
                await asyncio.to_thread(server.stop)

    def log(self) -> str:
        """What all of them have logged."""
        return (self.folder / "log").read_text()


def _is_ready(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:  # refused, cut off, or 503
        return False


def workers_of(server: ServerProcess) -> list[int]:
    """The processes that serve, of a server with several."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    return [int(pid) for pid in children if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]


def processes_of(cluster: Cluster) -> list[int]:
    """All of them, also of servers that are not ready yet: whoever has the cluster's folder in its settings."""
    setting = f"MENSAJERIA_DATA_DIR={cluster.folder / 'data'}\0".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            if setting in (process / "environ").read_bytes():
                found.append(int(process.name))
    return found
