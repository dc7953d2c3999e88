"""Alembic's entry: runs on the connection that db.migrate opened."""

from __future__ import annotations

from typing import cast

from alembic import context
from sqlalchemy import Connection

from mensajeria.server.db import schema_access, schema_chats, schema_content  # noqa: F401 - their tables join the same MetaData
from mensajeria.server.db.schema import metadata

connection = cast("Connection", context.config.attributes["connection"])
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=connection.dialect.name == "sqlite",  # SQLite alters a table by copying it
    transactional_ddl=True,  # SQLite can, too, when the driver does not interfere: see db.migrate
    compare_type=True,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
