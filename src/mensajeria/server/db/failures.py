"""What a database raises when it cannot do its work now: the request fails, the server goes on."""

from __future__ import annotations

import sqlite3
from typing import Final

from asyncpg import InternalClientError  # a connection that broke in the middle of an answer; SQLAlchemy lets it pass
from sqlalchemy.exc import SQLAlchemyError

from mensajeria.server.db.sqlite_writer import WriterClosedError

DATABASE_ERRORS: Final = (SQLAlchemyError, sqlite3.Error, WriterClosedError, OSError, InternalClientError)
"""Everything that `Database.query` and `Database.write` raise on the database's own account."""
