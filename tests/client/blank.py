"""An empty store, made once and copied: a test that is about something else does not wait for the tables."""

from __future__ import annotations

import asyncio
import os
import tempfile
from functools import cache
from pathlib import Path

from mensajeria.client.store import Store
from mensajeria.client.store.connection import create_store
from mensajeria.kit.secrets import Secret

_SOME_KEY = os.urandom(32)


async def blank_store(path: Path, key: bytes = _SOME_KEY) -> Store:
    """A new store at `path`, open."""
    await asyncio.to_thread(lambda: path.write_bytes(_blank(key)))
    return await Store.open(path, Secret(key))


@cache
def _blank(key: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "store.db"
        create_store(made, Secret(key))
        return made.read_bytes()
