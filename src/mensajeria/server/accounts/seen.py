"""When a device was last here, and the highest `gen` it has shown: one write for all that came at about one time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import ARRAY, BigInteger, Connection, bindparam, text

FLUSH_PAUSE_S: Final = 0.2
"""How long admissions gather at least: after a restart everybody comes back at once."""
MAX_SEEN: Final = 2000
_COLUMNS: Final = ("devices", "moments", "gens")
_POSTGRES: Final = text("""
WITH seen AS (
  SELECT d.id, s.ms, greatest(d.gen, s.gen) AS gen
  FROM unnest(:devices, :moments, :gens) AS s(id, ms, gen) JOIN device d ON d.id = s.id
  ORDER BY d.id FOR NO KEY UPDATE OF d
)
UPDATE device d SET last_seen_ms = s.ms, gen = s.gen FROM seen s WHERE d.id = s.id
""").bindparams(*(bindparam(name, type_=ARRAY(BigInteger)) for name in _COLUMNS))
_SQLITE: Final = "UPDATE device SET last_seen_ms = ?, gen = max(gen, ?) WHERE id = ?"


class Seen(msgspec.Struct, frozen=True, gc=False):
    """A device has been admitted. `device` is the row id."""

    device: int
    did: bytes
    ms: int
    gen: int


def store(connection: Connection, seen: Sequence[Seen]) -> None:
    """Store admissions, in the order in which they happened."""
    newest: dict[int, Seen] = {}
    for one in seen:
        known = newest.get(one.device)
        newest[one.device] = (
            one if known is None or known.gen <= one.gen else msgspec.structs.replace(one, gen=known.gen)
        )
    rows = sorted(newest.values(), key=lambda one: one.device)
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(_SQLITE, [(one.ms, one.gen, one.device) for one in rows])
        return
    columns = ([one.device for one in rows], [one.ms for one in rows], [one.gen for one in rows])
    connection.execute(_POSTGRES, dict(zip(_COLUMNS, columns, strict=True)))
