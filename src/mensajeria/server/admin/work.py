"""How an operator's command works on the database, beside a running server or without one."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection

from mensajeria.server.admin.audit import OPERATOR
from mensajeria.server.chats.retention import free_erased
from mensajeria.server.db.engine import Database
from mensajeria.server.db.revision import SchemaError, require_head
from mensajeria.server.findings import Finding
from mensajeria.server.settings import Settings

T = TypeVar("T")


def in_transaction(settings: Settings, function: Callable[[Connection], T]) -> T:
    """Run `function` in one transaction; raises SchemaError when the schema is not the newest."""

    async def run(db: Database) -> T:
        done = await db.write(function)
        await free_erased(db)
        return done

    return with_database(settings, run)


def reading(settings: Settings, function: Callable[[Connection], T]) -> T:
    """As `in_transaction`, for a function that only reads."""
    return with_database(settings, lambda db: db.query(function))


def with_database(settings: Settings, work: Callable[[Database], Coroutine[Any, Any, T]]) -> T:
    """Open the database, do the work, close it.

    Raises:
        SchemaError: the schema is not the newest, or there is no database.
    """
    return asyncio.run(_with_database(settings, work))


async def _with_database(settings: Settings, work: Callable[[Database], Coroutine[Any, Any, T]]) -> T:
    db = await asyncio.to_thread(Database, settings.effective_database_url)
    try:
        await asyncio.to_thread(_require_file, db)
        await require_head(db)
        return await work(db)
    finally:
        await db.close()


def _require_file(db: Database) -> None:
    file = Path(db.url.database or "")
    if db.is_sqlite and not file.exists():
        folder = file.parent
        raise SchemaError(Finding.DATABASE_MISSING() if folder.is_dir() else Finding.DATA_FOLDER_MISSING(path=folder))


def operator() -> str:
    """Who acts, for the audit log: "operator" and the name of the system's user."""
    try:
        return f"{OPERATOR}:{getpass.getuser()}"
    except (OSError, KeyError, ImportError):  # no such user in the system's list, as in some containers
        return OPERATOR
