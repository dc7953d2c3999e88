"""The connection for the statements that are asked for all the time: what it answers when something is wrong."""

from __future__ import annotations

import asyncpg
import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from mensajeria.server.chats.log import UNKNOWN_CHAT, LogUnavailableError, NewEvent
from mensajeria.server.chats.log_postgres import PostgresEventLog
from mensajeria.server.db.failures import LaneError
from mensajeria.server.db.schema import device
from mensajeria.server.state import Server
from tests.server.fixtures import void

PID = "SELECT pg_backend_pid()"


@pytest.fixture(autouse=True)
def _only_postgres(server: Server) -> None:
    if server.db.is_sqlite:
        pytest.skip("PostgreSQL's own")


async def test_a_lost_connection_fails_one_statement_at_most(server: Server) -> None:
    before = (await server.db.look_up(PID))[0][0]
    end = text("SELECT pg_terminate_backend(:pid, 30000)")
    await server.db.write(lambda db: void(db.execute(end, {"pid": before})))

    try:  # the end of the connection may have been seen already
        after = await server.db.look_up(PID)
    except LaneError:
        after = await server.db.look_up(PID)

    assert after[0][0] != before


async def test_who_looks_up_cannot_write(server: Server) -> None:
    with pytest.raises(LaneError, match="ReadOnlySQLTransactionError"):
        await server.db.look_up("DELETE FROM chat")


async def test_a_statement_that_the_database_refuses_fails_alone(server: Server) -> None:
    with pytest.raises(LaneError, match="UndefinedTableError"):
        await server.db.mark("DELETE FROM nothing")

    assert [tuple(row) for row in await server.db.mark("SELECT 1")] == [(1,)]


async def test_a_broken_reference_is_the_same_error_as_elsewhere(server: Server) -> None:
    with pytest.raises(IntegrityError):
        await server.db.mark("INSERT INTO device_cursor (device, chat, seq) VALUES (-1, -1, 1)")


async def test_marks_do_not_wait_for_the_disk_and_messages_do(server: Server) -> None:
    query = "SELECT current_setting('synchronous_commit')"

    assert (await server.db.mark(query))[0][0] == "off"
    assert (await server.db.look_up(query))[0][0] == "on"


async def test_nobody_holds_locks_for_long_who_is_away(server: Server) -> None:
    """On no kind of connection: a machine that falls in the middle of a transaction tells nobody."""
    asked = "SELECT current_setting('idle_in_transaction_session_timeout'), current_setting('tcp_keepalives_idle')"
    log = PostgresEventLog(server.db.postgres_dsn)
    try:
        shown = [
            await server.db.write(lambda db: db.execute(text(asked)).all()),
            await server.db.query(lambda db: db.execute(text(asked)).all()),
            await server.db.mark(asked),
            await server.db.look_up(asked),
            await (await log._connected()).fetch(asked),
        ]
    finally:
        await log.close()
    assert [tuple(row) for rows in shown for row in rows] == [("5s", "15")] * len(shown)


async def test_a_database_that_has_become_a_spare_is_away_and_the_one_that_takes_its_place_is_found(
    server: Server,
) -> None:
    """Whoever is connected stays connected to it: nothing but the refusal tells."""
    log = PostgresEventLog(server.db.postgres_dsn)
    row = NewEvent(1, bytes(16), 0, 0, 1, b"x")

    async def write() -> None:
        await server.db.write(lambda db: void(db.execute(update(device).values(gen=1))))

    async def become(read_only: str) -> None:
        own = {"default_transaction_read_only": "off"}
        operator = await asyncpg.connect(server.db.postgres_dsn, server_settings=own)
        name = await operator.fetchval("SELECT current_database()")
        await operator.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = {read_only}')
        await operator.close()

    await become("on")  # of the connections that are opened from now on: there is none yet
    with pytest.raises(DBAPIError):
        await write()
    with pytest.raises(LaneError):
        await server.db.mark("UPDATE device SET gen = 1")
    with pytest.raises(LogUnavailableError):
        await log.append([row])
    await become("off")

    await write()
    await server.db.mark("UPDATE device SET gen = 1")
    assert [status for status, _, _ in await log.append([row])] == [UNKNOWN_CHAT]
    await log.close()
