"""Reads that are asked for all the time: written once in SQLAlchemy's Core, compiled once, run by the driver alone.

SQLAlchemy's part of such a statement (building it, its cache key, the pool, two greenlets) costs twenty times what the
driver's does; what is rare goes through `Database.query` as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Connection, Select
from sqlalchemy.engine import Dialect

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Compiled:
    """A statement as one kind of database takes it."""

    sql: str
    names: tuple[str, ...]
    """Of the parameters, in their order."""
    constants: Mapping[str, object]
    """The values of those that nobody gives."""

    def arguments(self, values: Mapping[str, object]) -> list[object]:
        """What the driver wants. Raises KeyError for a parameter that was not given."""
        constants = self.constants
        return [values[name] if name in values else constants[name] for name in self.names]


class Read(Generic[R]):
    """A SELECT with named `bindparam`s, none of them a list; each row becomes a call of `row` with its columns.

    Values pass as the driver gives them: SQLite's booleans are 0 and 1.
    """

    def __init__(self, statement: Select[*tuple[Any, ...]], row: Callable[..., R]) -> None:
        self.statement: Final = statement
        self._row: Final = row
        self._compiled: dict[str, Compiled] = {}

    def compiled(self, dialect: Dialect) -> Compiled:
        """For one kind of database; made at the first use."""
        known = self._compiled.get(dialect.name)
        if known is None:
            made = self.statement.compile(dialect=dialect)
            constants = {name: value for name, value in made.params.items() if value is not None}
            known = self._compiled[dialect.name] = Compiled(made.string, tuple(made.positiontup or ()), constants)
        return known

    def within(self, connection: Connection, **values: object) -> list[R]:
        """The same read inside of a transaction that does more."""
        return self.rows(connection.execute(self.statement, values))

    def rows(self, found: Iterable[Any]) -> list[R]:
        """What the driver's rows say."""
        row = self._row
        return [row(*columns) for columns in found]
