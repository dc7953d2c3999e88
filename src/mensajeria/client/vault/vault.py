"""An open vault: the store's key, and the count of encryptions that outlives a restored folder."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from mensajeria.client.vault.content import Content, Place
from mensajeria.kit.secrets import Secret

GEN_BLOCK: Final = 64
"""The vault is written once for so many encryptions."""
T = TypeVar("T")


class Vault:
    """The key and the ceiling of `gen` (docs/protocol/e2ee.md §10, state rollback).

    The ceiling is raised in blocks BEFORE the encryptions happen. So a store that knows fewer encryptions than the
    ceiling minus one block is an old copy.
    """

    def __init__(self, content: Content, places: tuple[Place, ...]) -> None:
        self._content = content
        self._places = places
        self._lock = asyncio.Lock()

    @property
    def key(self) -> Secret:
        """LK, 32 bytes."""
        return self._content.key

    @property
    def ceiling(self) -> int:
        """No store of this profile has persisted more encryptions than that."""
        return self._content.ceiling

    def rolled_back(self, gen: int) -> bool:
        """Whether a store that has counted `gen` encryptions is an old copy."""
        return gen < self.ceiling - GEN_BLOCK

    async def reserve(self, gen: int) -> None:
        """Make sure that `gen` encryptions are allowed; returns once that is durable. One call in a block is slow.

        Raises ProfileError: keyring_failed, store_failed; then nothing may be encrypted.
        """
        async with self._lock:
            if gen <= self.ceiling:
                return
            raised = Content(self.key, -(-gen // GEN_BLOCK) * GEN_BLOCK)
            for place in self._places:
                await in_vault_thread(lambda place=place: place.store(raised))  # type: ignore[misc]
            self._content = raised


_executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mensajeria-vault")


async def in_vault_thread(function: Callable[[], T]) -> T:
    """Run something slow (Argon2id, the keyring's service, a file) off the loop; one at a time: 128 MiB each."""
    return await asyncio.get_running_loop().run_in_executor(_executor, function)
