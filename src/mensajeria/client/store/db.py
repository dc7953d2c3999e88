"""The handle through which a transaction's modules reach SQLite; useless outside its transaction and its thread."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Final

from sqlcipher3 import dbapi2

Row = tuple[Any, ...]
AT_ONCE: Final = 100
"""Values of one IN."""
ROWS_AT_ONCE: Final = 250
"""Rows of one INSERT."""


class TransactionOverError(RuntimeError):
    """A transaction's object was used after the transaction, or in another thread: a mistake in the program."""


class Db:
    """One transaction's access to the connection."""

    __slots__ = ("_connection", "_open", "_thread", "chat_keys")

    def __init__(self, connection: dbapi2.Connection) -> None:
        self._connection = connection
        self._open = True
        self._thread = threading.get_ident()
        self.chat_keys: dict[bytes, int] = {}
        """Integers of the chats that this transaction has looked up."""

    def end(self) -> None:
        """Make every later use raise."""
        self._open = False

    def execute(self, sql: str, *params: Any) -> dbapi2.Cursor:
        """Run one statement."""
        self._check()
        return self._connection.execute(sql, params)

    def each(self, sql: str, rows: Iterable[Row]) -> None:
        """Run one statement for each row of parameters: a third of the cost of as many calls."""
        self._check()
        self._connection.executemany(sql, rows)

    def insert_all(self, into: str, rows: Sequence[Row], conflict: str = "") -> None:
        """Insert many rows of one table, `ROWS_AT_ONCE` in a statement. `conflict` = what follows the values.

        Within a statement SQLite needs no interpreter: other threads go on with their work. `each` would have to wait
        for them at every row.
        """
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = rows[start : start + ROWS_AT_ONCE]
            row = f"({', '.join('?' * len(part[0]))})"
            values = ", ".join([row] * len(part))
            self.execute(f"INSERT INTO {into} VALUES {values} {conflict}", *chain.from_iterable(part))

    def _check(self) -> None:
        if not self._open or threading.get_ident() != self._thread:
            raise TransactionOverError("used outside its transaction")

    def one(self, sql: str, *params: Any) -> Row | None:
        """The first row, or None."""
        row: Row | None = self.execute(sql, *params).fetchone()
        return row

    def value(self, sql: str, *params: Any) -> Any:
        """The first column of the first row, or None."""
        row = self.one(sql, *params)
        return None if row is None else row[0]

    def all(self, sql: str, *params: Any) -> Iterator[Row]:
        """All rows, read at once."""
        return iter(self.execute(sql, *params).fetchall())

    def among(self, sql: str, values: Sequence[Any]) -> Iterator[Row]:
        """All rows of a query that ends with IN, for any number of values."""
        for start in range(0, len(values), AT_ONCE):
            part = values[start : start + AT_ONCE]
            yield from self.all(f"{sql} ({', '.join('?' * len(part))})", *part)

    def inserted(self, sql: str, *params: Any) -> int:
        """Insert one row; its row number. RETURNING would build a table for the answer, at three times the cost."""
        number = self.execute(sql, *params).lastrowid
        assert number is not None, "an INSERT"
        return number

    def changed(self, sql: str, *params: Any) -> int:
        """Run a statement; how many rows it changed."""
        count: int = self.execute(sql, *params).rowcount
        return count
