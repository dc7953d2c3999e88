"""The test servers themselves: separate, real, and never left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest
import redis.asyncio

from tests.support.lifeline import Lifeline, TestServerError
from tests.support.postgres import PostgresServer, dsn, start_postgres
from tests.support.valkey import start_valkey

ROOT = Path(__file__).parents[2]


async def fetch(url: str, query: str) -> object:
    connection = await asyncpg.connect(dsn(url))
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


@pytest.mark.slow
async def test_a_fresh_database_is_empty_and_is_version_18(postgres_url: str) -> None:
    assert await fetch(postgres_url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    assert str(await fetch(postgres_url, "SHOW server_version")).startswith("18")


@pytest.mark.slow
async def test_databases_from_a_template_start_equal_and_stay_apart(
    postgres_server: PostgresServer, postgres_database: Callable[[str | None], str]
) -> None:
    calls: list[str] = []

    def prepare(url: str) -> None:
        calls.append(url)
        postgres_server_execute(url, "CREATE TABLE note (id int)")

    template = postgres_server.template("support_check", prepare)
    assert postgres_server.template("support_check", prepare) == template
    first, second = postgres_database(template), postgres_database(template)
    assert await fetch(first, "INSERT INTO note VALUES (7) RETURNING id") == 7
    assert await fetch(second, "SELECT count(*) FROM note") == 0
    assert len(calls) == 1


def postgres_server_execute(url: str, statement: str) -> None:
    PostgresServer(url=url).execute(statement)


async def test_valkey_is_real_and_empty(valkey_url: str) -> None:
    async with redis.asyncio.Redis.from_url(valkey_url) as client:
        assert await client.dbsize() == 0
        await client.set("left behind", "for the next test to miss")
        assert (await client.info("server"))["server_name"] == "valkey"


async def test_valkey_is_emptied_between_tests(valkey_url: str) -> None:
    async with redis.asyncio.Redis.from_url(valkey_url) as client:
        assert await client.dbsize() == 0
        await client.set("left behind", "again")


@pytest.mark.slow
def test_a_killed_database_comes_back_with_what_was_committed() -> None:
    with Lifeline() as run:
        server = start_postgres(run, durable=True)
        server.execute("CREATE TABLE kept AS SELECT 41 + 1 AS answer")
        pid = server.pid()
        server.crash()
        assert server.pid() != pid
        assert asyncio.run(fetch(server.url, "SELECT answer FROM kept")) == 42
        folder = run.folder
    assert not folder.exists()


@pytest.mark.slow
def test_a_server_that_cannot_start_says_why() -> None:
    with Lifeline() as run, pytest.raises(TestServerError, match="no_such_setting"):
        start_postgres(run, settings={"no_such_setting": "1"})


KILLED_OWNER = """
import sys, time
from tests.support.lifeline import Lifeline
from tests.support.postgres import start_postgres
from tests.support.valkey import start_valkey
owner = Lifeline()
postgres, valkey = start_postgres(owner.run), start_valkey(owner.run)
print(owner.run.folder, postgres.pid(), valkey.pid(), flush=True)
time.sleep(60)
"""


@pytest.mark.slow
def test_kill_9_of_the_owner_leaves_no_server_and_no_folder() -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED_OWNER], cwd=ROOT, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        folder, *pids = owner.stdout.readline().split()
        assert all(is_running(int(pid)) for pid in pids)
        owner.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and (Path(folder).exists() or any(is_running(int(pid)) for pid in pids)):
        time.sleep(0.05)
    assert not Path(folder).exists()
    assert not any(is_running(int(pid)) for pid in pids)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_only_the_owner_of_the_password_gets_in() -> None:
    with Lifeline() as run:
        valkey = start_valkey(run)
        stranger = redis.Redis.from_url(valkey.url.replace(valkey.url.split(":")[2].split("@")[0], "wrong"))
        with stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
