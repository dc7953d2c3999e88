"""A PostgreSQL and a Valkey of these tests' own, to be killed, and servers that share them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.server.faults.members import Member
from tests.server.faults.servers import Cluster
from tests.server.fixtures import migrate_in_a_process
from tests.server.realtime.device import no_socket_left
from tests.support.lifeline import Lifeline, Run
from tests.support.postgres import PostgresServer, postgres_is_available, start_postgres
from tests.support.valkey import OVERRIDE, ValkeyServer, start_valkey, valkey_is_available

__all__ = ["no_socket_left"]


@pytest.fixture(scope="session")
def own_run() -> Iterator[Run]:
    with Lifeline() as run:
        yield run


@pytest.fixture(scope="session")
def own_postgres(own_run: Run) -> PostgresServer:
    if not postgres_is_available():
        pytest.skip("no PostgreSQL binaries for this system")
    return start_postgres(own_run)


@pytest.fixture(scope="session")
def own_valkey(own_run: Run) -> ValkeyServer:
    if not valkey_is_available() or OVERRIDE in os.environ:
        pytest.skip("no Valkey of our own that may be killed")
    return start_valkey(own_run)


@pytest.fixture(scope="session")
def template(own_postgres: PostgresServer) -> str:
    """A migrated database, to copy."""
    return own_postgres.template("schema", migrate_in_a_process)


@pytest.fixture
async def cluster(
    tmp_path: Path, own_postgres: PostgresServer, own_valkey: ValkeyServer, template: str
) -> AsyncIterator[Cluster]:
    """Two servers on the same database and Valkey."""
    url = await asyncio.to_thread(own_postgres.create_database, f"faults_{secrets.token_hex(6)}", template=template)
    async with running(Cluster(tmp_path, url, own_valkey.url), 2) as made:
        yield made


@pytest.fixture
async def cluster_of_workers(
    tmp_path: Path, own_postgres: PostgresServer, own_valkey: ValkeyServer, template: str
) -> AsyncIterator[Cluster]:
    """One server of two workers; who gets which is the kernel's choice."""
    url = await asyncio.to_thread(own_postgres.create_database, f"workers_{secrets.token_hex(6)}", template=template)
    async with running(Cluster(tmp_path, url, own_valkey.url, workers=2), 1) as made:
        yield made


@contextlib.asynccontextmanager
async def running(made: Cluster, servers: int) -> AsyncIterator[Cluster]:
    """Start them; at the end first the people leave, then the servers."""
    try:
        for _ in range(servers):
            await made.start()
        yield made
    finally:
        for member in list(Member.all):
            with contextlib.suppress(Exception):
                await member.stop()
        await made.stop()
