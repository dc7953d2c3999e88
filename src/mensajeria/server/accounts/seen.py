"""When a device was last here, and the highest `gen` it has shown: one write for all that came at about one time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection

from mensajeria.server.db.engine import Database

FLUSH_PAUSE_S: Final = 0.2
"""How long admissions gather at least: after a restart everybody comes back at once."""
MAX_SEEN: Final = 2000
POSTGRES: Final = """UPDATE device d SET last_seen_ms = s.ms, gen = greatest(d.gen, s.gen)
FROM unnest($1::text::bigint[], $2::text::bigint[], $3::text::bigint[]) AS s(id, ms, gen) WHERE d.id = s.id"""
"""The devices come in the order of their ids, and so do the locks (see `postgres_lane.SETTINGS`)."""
_SQLITE: Final = "UPDATE device SET last_seen_ms = ?, gen = max(gen, ?) WHERE id = ?"


class Seen(msgspec.Struct, frozen=True, gc=False):
    """A device has been admitted. `device` is the row id."""

    device: int
    did: bytes
    ms: int
    gen: int


async def store(db: Database, seen: Sequence[Seen]) -> None:
    """Store admissions, in the order in which they happened.

    Not waiting for the disk: what a falling machine forgets, the device shows again when it is back, and before that
    with every envelope that it puts.
    """
    rows = _newest(seen)
    if db.is_sqlite:
        await db.write(lambda connection: store_sqlite(connection, rows), durable=False)
        return
    columns = ([one.device for one in rows], [one.ms for one in rows], [one.gen for one in rows])
    await db.mark(POSTGRES, *(f"{{{','.join(map(str, column))}}}" for column in columns))


def store_sqlite(connection: Connection, rows: Sequence[Seen]) -> None:
    """One row for each device."""
    connection.exec_driver_sql(_SQLITE, [(one.ms, one.gen, one.device) for one in rows])


def _newest(seen: Sequence[Seen]) -> list[Seen]:
    newest: dict[int, Seen] = {}
    for one in seen:
        known = newest.get(one.device)
        newest[one.device] = (
            one if known is None or known.gen <= one.gen else msgspec.structs.replace(one, gen=known.gen)
        )
    return sorted(newest.values(), key=lambda one: one.device)
