"""Whether PostgreSQL, which may run on another machine, has room for its tables: it says so only when it lacks it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text

_DISK_FULL: Final = "53100"
_TABLE: Final = text("CREATE TEMPORARY TABLE room (filler text) ON COMMIT DROP")
_FILL: Final = text("INSERT INTO room SELECT repeat('x', 1900) FROM generate_series(1, 512)")
"""A mebibyte of new pages, in rows that are too short to be compressed."""


class Room:
    """What was found out last, for the process."""

    def __init__(self) -> None:
        self.is_lacking = False

    def note(self, error: BaseException | None) -> None:
        """A statement failed, with an error of the driver's."""
        if getattr(error, "sqlstate", None) == _DISK_FULL:
            self.is_lacking = True

    @staticmethod
    def take_some(connection: Connection) -> None:
        """Take some room and give it back. Raises the database's error while there is none.

        Only for a process that lacks it: each try leaves something to be cleaned up in PostgreSQL's catalogue.
        """
        connection.execute(_TABLE)
        connection.execute(_FILL)
