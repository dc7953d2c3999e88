"""Kill a device at its n-th point. Points are found by running the story once: every transaction of the store and
everything that leaves for the server, because between two of them nothing changes that outlives the process. While a
profile is being made, its files are points too.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mensajeria.client.engine.engine import Engine
from mensajeria.client.profile import Profile
from mensajeria.client.store import Store
from mensajeria.client.transport.auth_channel import AuthChannel
from mensajeria.client.transport.rest.client import RestClient
from mensajeria.client.vault import create_vault
from tests.attacks.evil import Network
from tests.attacks.stage import Actor
from tests.chaos.people import Device
from tests.chaos.world import PATIENCE_S, World

Call = Callable[..., Awaitable[Any]]


class KilledError(Exception):
    """Where a device dies that cannot be made to wait: in a thread."""


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
    _did: bytes = b""
    _submit: Call | None = None
    _is_over: bool = False

    # --- what is watched

    def attach(self, actor: Actor) -> None:
        """Watch the client: its store, its REST calls, and its frames as they reach the server."""
        context = actor.client._context
        self._watch(context.store)
        self._watch_calls(actor.client._running.http)
        self._watch_frames(bytes(context.me.did))

    @contextlib.contextmanager
    def at_birth(self) -> Iterator[None]:
        """In this block the device is made: its points begin before its first file."""
        make_store = Store.create

        async def store(*given: Any) -> Store:
            await self._point()
            made = await make_store(*given)
            self._watch(made)
            return made

        def rest(*given: Any) -> Any:
            made = RestClient(*given)
            self._watch_calls(made)
            return made

        def engine(context: Any, *given: Any) -> Any:
            self._watch_frames(bytes(context.me.did))
            return Engine(context, *given)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("mensajeria.client.profiles.create_vault", self._around(create_vault))
            patch.setattr(Store, "create", store)
            patch.setattr(Profile, "save", self._described(Profile.save))
            patch.setattr(AuthChannel, "ask", self._around(AuthChannel.ask))
            patch.setattr("mensajeria.client.running.RestClient", rest)
            patch.setattr("mensajeria.client.running.Engine", engine)
            yield

    def _watch(self, store: Store) -> None:
        self._submit = store._submit
        store._submit = self._store  # type: ignore[method-assign]

    def _watch_calls(self, http: Any) -> None:
        http.call = self._around(http.call)

    def _watch_frames(self, did: bytes) -> None:
        self._did = did
        self.world.evil.network = _Wire(self)

    async def _store(self, function: Any, *, writes: bool) -> Any:
        assert self._submit is not None
        if not self._is_over:
            await self._point()
        return await self._submit(function, writes=writes)

    def _around(self, call: Call) -> Call:
        """Both sides of a call whose effect is elsewhere."""

        async def watched(*given: Any, **named: Any) -> Any:
            await self._point()
            answer = await call(*given, **named)
            await self._point()
            return answer

        return watched

    def _described(self, save: Callable[..., None]) -> Callable[..., None]:
        """The profile's description is written in a thread: the last file before it is one."""
        loop = asyncio.get_running_loop()

        def watched(*given: Any) -> None:
            if self.dead or self._counts():
                self._copy()
                loop.call_soon_threadsafe(self._happened)
                raise KilledError
            save(*given)

        return watched

    def frame(self) -> bool:
        """A frame of the device arrives; whether it still counts."""
        if not self.dead and self._counts():
            self._die()
        return not self.dead

    async def _point(self) -> None:
        if not self.dead:
            if not self._counts():
                return
            self._die()
        await asyncio.Event().wait()

    # --- its death

    @property
    def dead(self) -> bool:
        return self.at is not None and self.count >= self.at

    def _counts(self) -> bool:
        """One more point; whether it is the last."""
        self.count += 1
        return self.dead

    def _die(self) -> None:
        self.world.never_taken()  # it is committed behind the files that are kept, or before: nobody was told
        self._task = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        """The files as `kill -9` leaves them: what was committed, and nothing of what was going on."""
        if self._submit is None:
            await asyncio.to_thread(self._copy)
        else:
            await self._submit(lambda _: self._copy(), writes=False)
        self._happened()

    def _copy(self) -> None:
        target = self.world.folder / "killed"
        if self.device.folder.exists():
            self.world.copy_files(self.device.folder, target)
        self.left = target

    def _happened(self) -> None:
        self.happened.set()

    async def strike(self) -> None:
        """The story is over, or was cut off: a death that has not come by itself comes now. Returns when it came."""
        if self.at is None:
            return
        if not self.dead:
            self.count = self.at
            self._die()
        await asyncio.wait_for(self.happened.wait(), PATIENCE_S)
        self._is_over = True  # so that what is left can close its store; nothing of it reaches the server any more

    async def bury(self) -> None:
        """End what is left of the process, and put its files where they were."""
        if self.left is None:
            return
        self.world.evil.network = Network()
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
