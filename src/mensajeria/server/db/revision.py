"""Which schema the database has and which this program needs, without the machinery of migrations.

That is 10 MB of modules: an idle server should not carry it for a question that it asks at its start.
"""

from __future__ import annotations

import asyncio
from functools import cache
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from mensajeria.server.db.engine import Database
from mensajeria.server.findings import Finding, OperatorError

SCRIPTS: Final = Path(__file__).parent.parent / "migrations"


class SchemaError(OperatorError):
    """The database's schema is not the one this program needs."""


@cache
def head_revision() -> str:
    """The newest revision this program knows: scripts are named after theirs. Reads a folder at the first call."""
    return max(script.name.partition("_")[0] for script in (SCRIPTS / "versions").glob("[0-9]*_*.py"))


def current_revision(connection: Connection) -> str | None:
    """The revision the database is at; None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return revision


async def require_head(db: Database, *, or_newer: bool = False) -> None:
    """Raises SchemaError unless the database is exactly at the newest revision.

    `or_newer`: a newer program may have added to it meanwhile, which is no harm to one that runs: nothing is taken away
    that the release before still uses (see CONTRIBUTING.md).
    """
    current, head = await db.query(current_revision), await asyncio.to_thread(head_revision)
    if current is None:
        raise SchemaError(Finding.SCHEMA_MISSING())
    if current > head and not or_newer:
        raise SchemaError(Finding.SCHEMA_UNKNOWN(current=current))
    if current < head:
        raise SchemaError(Finding.SCHEMA_OLD(current=current, needed=head))
