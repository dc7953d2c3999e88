"""Servers that belong together, each on its own port, so that a test knows who is connected to which."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from tests.server.process import ServerProcess, World, start_server_process


@dataclass
class Cluster:
    """The n-th server can be killed and started again; its address changes."""

    folder: Path
    database_url: str
    redis_url: str | None
    servers: list[ServerProcess] = field(default_factory=list)
    worlds: list[World] = field(default_factory=list)

    async def start(self, index: int | None = None) -> None:
        """Start one more server, or the n-th again."""
        server = await asyncio.to_thread(self._start)
        world = await World.of(server)
        if index is None:
            self.servers.append(server)
            self.worlds.append(world)
        else:
            self.servers[index], self.worlds[index] = server, world

    def _start(self) -> ServerProcess:
        settings = {} if self.redis_url is None else {"MENSAJERIA_REDIS_URL": self.redis_url}
        with (self.folder / "log").open("a") as log:
            return start_server_process(self.folder / "data", self.database_url, log=log, settings=settings)

    async def stop(self) -> None:
        """End them all."""
        for server in self.servers:
            if server.process.poll() is None:
                await asyncio.to_thread(server.stop)

    def log(self) -> str:
        """What all of them have logged."""
        return (self.folder / "log").read_text()
