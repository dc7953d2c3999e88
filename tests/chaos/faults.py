"""Kill a device at its n-th point. Points are found by running the story once: every transaction of the store and
everything that leaves for the server, because between two of them nothing changes that outlives the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.attacks.evil import Network
from tests.attacks.stage import Actor
from tests.chaos.world import PATIENCE_S, Device, World

Story = Callable[[World], Awaitable[None]]


@dataclass
class Doom:
    """Counts a device's points; at the chosen one its files stay as they are and nothing of it works any more."""

    world: World
    device: Device
    at: int | None
    count: int = 0
    left: Path | None = None
    happened: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the files are safe."""

    def attach(self, actor: Actor) -> None:
        """Watch the client: its store, its REST calls, and its frames as they reach the server."""
        context = actor.client._context
        self._did = bytes(context.me.did)
        self._submit = context.store._submit
        context.store._submit = self._store  # type: ignore[method-assign]
        self._request = actor.client._http.call
        actor.client._http.call = self._rest  # type: ignore[method-assign]
        self.world.evil.network = _Wire(self)

    @property
    def dead(self) -> bool:
        return self.at is not None and self.count >= self.at

    async def _store(self, function: Any, *, writes: bool) -> Any:
        await self._point()
        return await self._submit(function, writes=writes)

    async def _rest(self, *given: Any, **named: Any) -> Any:
        await self._point()
        answer = await self._request(*given, **named)
        await self._point()
        return answer

    def frame(self) -> bool:
        """A frame of the device arrives; whether it still counts."""
        if not self.dead:
            self.count += 1
            if self.dead:
                self._die()
        return not self.dead

    async def _point(self) -> None:
        if not self.dead:
            self.count += 1
            if not self.dead:
                return
            self._die()
        await asyncio.Event().wait()

    def _die(self) -> None:
        self._task = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        """The files as `kill -9` leaves them: what was committed, and nothing of what was going on."""
        target = self.world.folder / "killed"

        def copy(_: object) -> None:
            self.world.copy_files(self.device.folder, target)

        await self._submit(copy, writes=False)
        self.left = target
        self.happened.set()

    async def strike(self) -> None:
        """The story is over, or was cut off: a death that has not come by itself comes now. Returns when it came."""
        if self.at is None:
            return
        if not self.dead:
            self.count = self.at
            self._die()
        await asyncio.wait_for(self.happened.wait(), PATIENCE_S)

    async def bury(self) -> None:
        """End what is left of the process, and put its files where they were."""
        if self.left is None:
            return
        self.world.evil.network = Network()
        assert self.device.actor is not None
        client = self.device.actor.client
        client._context.store._submit = self._submit  # type: ignore[method-assign]
        await self.world.replace(self.device, self.left)


class _Wire(Network):
    """The network as the doomed device has it: nothing passes once it is dead."""

    def __init__(self, doom: Doom) -> None:
        self._doom = doom

    def to_server(self, did: bytes, data: bytes) -> Iterator[bytes]:
        if did != self._doom._did or self._doom.frame():
            yield data

    def to_client(self, did: bytes, data: bytes) -> Iterable[bytes]:
        if did != self._doom._did or not self._doom.dead:
            yield data
