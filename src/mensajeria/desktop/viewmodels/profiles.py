"""What people tell about themselves, and the pictures of groups: by user id or chat id."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from PyQt6.QtCore import QObject, pyqtSignal

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class ProfileRow:
    """`who`: a user's id, or a group's chat id. A name says nothing about who it is: the user name stands beside it."""

    who: str
    name: str = ""
    status: str = ""
    picture: bytes = field(default=b"", repr=False)
    """A small JPEG that somebody else made; empty = none."""


class ProfilesModel(QObject):
    """Lives on Qt's thread."""

    changed = pyqtSignal(str)
    """(whose)"""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: dict[str, ProfileRow] = {}

    def clear(self) -> None:
        """Nobody tells anything."""
        gone, self._rows = self._rows, {}
        for who in gone:
            self.changed.emit(who)

    def put(self, rows: Iterable[ProfileRow]) -> None:
        """Insert or replace; equal rows change nothing."""
        for row in rows:
            if self.find(row.who) != row:
                self._rows[row.who] = row
                self.changed.emit(row.who)

    def find(self, who: str) -> ProfileRow:
        """What is known of somebody; an empty row for whoever tells nothing."""
        return self._rows.get(who) or ProfileRow(who)
