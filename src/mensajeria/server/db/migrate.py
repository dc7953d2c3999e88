"""Schema migrations, called as functions: the same for the operator's command, for `serve` and for tests."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, event, func, pool, select
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import create_async_engine

from mensajeria.server.db.engine import driver_dsn, make_private, normalise_url
from mensajeria.server.db.postgres_session import DRIVER, SESSION, connector
from mensajeria.server.db.revision import SCRIPTS, SchemaError, current_revision, head_revision
from mensajeria.server.findings import Finding

LOCK: Final = 0x4D454E53414A
"""The advisory lock of PostgreSQL that a migration holds."""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def migrate(url: str) -> tuple[str | None, str]:
    """Bring the database to the newest schema; (revision before, revision after). Blocking; not inside an event loop.

    Raises:
        SchemaError: the database was made by a newer program.
    """
    parsed = normalise_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _migrate_sqlite(parsed)
    return asyncio.run(_migrate_postgres(parsed))


def _migrate_sqlite(url: URL) -> tuple[str | None, str]:
    make_private(url)
    engine = create_engine(url.set(drivername="sqlite"), poolclass=pool.NullPool)
    event.listen(engine, "connect", _leave_transactions_to_us)
    event.listen(engine, "begin", _begin_immediate)
    try:
        with engine.connect() as connection:
            return upgrade(connection)
    finally:
        engine.dispose()


async def _migrate_postgres(url: URL) -> tuple[str | None, str]:
    """The only driver at hand is asynchronous: the private loop that runs this has nothing else to do."""
    creator = connector(driver_dsn(url), server_settings=SESSION)
    engine = create_async_engine(DRIVER, poolclass=pool.NullPool, async_creator=creator)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(upgrade)
    finally:
        await engine.dispose()


def _leave_transactions_to_us(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # counts for a new file only: lets retention shrink it


def _begin_immediate(connection: Connection) -> None:
    """The whole migration is one transaction: a kill in the middle leaves the old schema, not half of the new."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def upgrade(connection: Connection) -> tuple[str | None, str]:
    """Run what is missing on this connection, in one transaction; (revision before, revision after)."""
    if connection.dialect.name == "postgresql":  # of two that start at once, one migrates, the other finds it done
        connection.execute(select(func.pg_advisory_xact_lock(LOCK)))
    before = current_revision(connection)
    _refuse_unknown(before)
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    connection.commit()
    return before, head_revision()


def _refuse_unknown(revision: str | None) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if revision is not None and revision not in known:
        raise SchemaError(Finding.SCHEMA_UNKNOWN(current=revision))
