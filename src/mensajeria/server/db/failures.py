"""What a database raises when it cannot do its work now: the request fails, the server goes on."""

from __future__ import annotations

import sqlite3
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from mensajeria.server.db.sqlite_writer import WriterClosedError


class ConnectionBrokenError(Exception):
    """A connection to PostgreSQL broke in the middle of an answer."""


class LaneError(SQLAlchemyError):
    """A statement on a lane (`postgres_lane`) was not answered. The driver's error is its cause."""


DATABASE_ERRORS: Final = (SQLAlchemyError, sqlite3.Error, WriterClosedError, OSError, ConnectionBrokenError)
"""Everything that `Database.query` and `Database.write` raise on the database's own account."""
