"""Names of deleted accounts: reserved for a year, so that nobody is mistaken for who had them."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, delete, insert, select

from mensajeria.server.db.schema_access import handle_reserved

RESERVED_MS: Final = 365 * 24 * 3600 * 1000


def is_reserved(connection: Connection, handle: str, now_ms: int) -> bool:
    """Whether the name belonged to an account that was deleted less than a year ago."""
    until = connection.execute(select(handle_reserved.c.until_ms).where(handle_reserved.c.handle == handle))
    found = until.scalar_one_or_none()
    return found is not None and found > now_ms


def reserve(connection: Connection, handle: str, now_ms: int) -> None:
    """Reserve the name from now on."""
    connection.execute(delete(handle_reserved).where(handle_reserved.c.handle == handle))
    connection.execute(insert(handle_reserved).values(handle=handle, until_ms=now_ms + RESERVED_MS))
