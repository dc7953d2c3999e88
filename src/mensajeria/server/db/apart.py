"""Migrating in a process of its own, which takes what it needed in memory away with it."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from sqlalchemy.exc import SQLAlchemyError

from mensajeria.server.db.revision import SchemaError


def migrate_apart(url: str) -> None:
    """As `migrate.migrate`, and raises as it does."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        process.submit(_migrate, url).result()


def _migrate(url: str) -> None:
    from mensajeria.server.db.migrate import migrate  # noqa: PLC0415 - only in that process

    try:
        migrate(url)
    except (SchemaError, OSError):
        raise
    except Exception as error:  # noqa: BLE001 - a driver's own exception may not survive the way between processes
        raise SQLAlchemyError(f"{type(error).__name__}: {error}") from None
