"""The store as the client sees it: functions that run in one transaction each, awaited from the client's loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

from sqlcipher3 import dbapi2

from mensajeria.client.errors import StateError
from mensajeria.client.store.connection import Fill, create_store, open_store
from mensajeria.client.store.owner import Job, Owner
from mensajeria.client.store.tx import Tx
from mensajeria.kit.secrets import Secret

T = TypeVar("T")


class Store:
    """An open store. `async with` closes it.

    Functions given to `run` and `read` run in the store's own thread, one after the other, in the order of the calls.
    Their `Tx` is theirs alone. They must not block on anything else; what they return must not depend on the
    transaction.
    """

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._closed = False

    @classmethod
    async def open(cls, path: Path, key: Secret) -> Self:
        """Open the file `path` with its 32-byte key.

        Raises:
            ProfileError: key_lost (does not fit, file untouched), profile_missing, profile_newer, store_failed.
        """
        return await cls._start(partial(open_store, path, key))

    @classmethod
    async def create(cls, path: Path, key: Secret, fill: Fill | None = None) -> Self:
        """Make a new file and open it. Raises ProfileError: profile_exists, store_failed; and what `fill` raises."""

        def make() -> dbapi2.Connection:
            create_store(path, key, fill)
            return open_store(path, key)

        return await cls._start(make)

    @classmethod
    async def _start(cls, open_connection: Callable[[], dbapi2.Connection]) -> Self:
        owner = Owner()
        try:
            await owner.start(open_connection)
        except BaseException:  # also of who is cancelled meanwhile
            await owner.stop()
            raise
        return cls(owner)

    async def run(self, function: Callable[[Tx], T]) -> T:
        """Run `function(tx)` as one transaction; its result, after the commit (which other calls may share).

        What the function raises undoes its transaction and is raised here. When the caller is cancelled meanwhile, the
        transaction still completes.

        Raises:
            ProfileError: store_failed: nothing was stored (disk full, I/O error).
            StateError: closed.
        """
        return await self._submit(function, writes=True)

    async def read(self, function: Callable[[Tx], T]) -> T:
        """Like `run`, for functions that only read: waits for no disk. Sees everything that earlier calls stored."""
        return await self._submit(function, writes=False)

    async def _submit(self, function: Callable[[Tx], T], *, writes: bool) -> T:
        if self._closed:
            raise StateError("closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._owner.put(Job(function, loop, future, writes))
        return await future

    async def close(self) -> None:
        """Finish what was called before, then close the file. May be called twice."""
        self._closed = True
        await self._owner.stop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()
