"""Small named values: settings, counters, and the security warnings shown so far."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from mensajeria.client.store.db import Db
from mensajeria.client.store.values import WarningRow
from mensajeria.protocol.ids import ChatId

_COUNT: Final = "INSERT INTO meta VALUES(?, ?) ON CONFLICT(name) DO UPDATE SET value = value + excluded.value"


class Meta:
    """`tx.meta`."""

    __slots__ = ("_db",)

    def __init__(self, db: Db) -> None:
        self._db = db

    def get(self, name: str) -> bytes | None:
        """The value of `name`."""
        value: bytes | None = self._db.value("SELECT value FROM meta WHERE name = ?", name)
        return value

    def some(self, names: Sequence[str]) -> dict[str, bytes]:
        """Those of these values that there are."""
        return dict(self._db.among("SELECT name, value FROM meta WHERE name IN", names))

    def set(self, name: str, value: bytes) -> None:
        """Set `name`."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES(?, ?)", name, value)

    def remove(self, name: str) -> None:
        """Forget `name`."""
        self._db.execute("DELETE FROM meta WHERE name = ?", name)

    def number(self, name: str) -> int:
        """The counter `name`, 0 when it was never set."""
        value: int | None = self._db.value("SELECT value FROM meta WHERE name = ?", name)
        return value or 0

    def count(self, name: str, step: int = 1) -> int:
        """Raise the counter `name` by `step` (>= 1); its new value."""
        self._db.execute(_COUNT, name, step)
        return self.number(name)

    def raise_to(self, name: str, least: int) -> int:
        """Bring the counter `name` to at least `least`; its value after that."""
        self._db.execute(
            "INSERT INTO meta VALUES(?, ?) ON CONFLICT(name) DO UPDATE SET value = max(value, excluded.value)",
            name,
            least,
        )
        return self.number(name)

    def warn(self, code: str, chat_id: ChatId | None, params: Mapping[str, str], at_ms: int) -> None:
        """Keep a security warning."""
        self._db.execute(
            "INSERT INTO warnings(code, chat_id, params, at_ms) VALUES(?, ?, ?, ?)",
            code,
            chat_id,
            json.dumps(dict(params)),
            at_ms,
        )

    def warnings(self, limit: int = 100) -> tuple[WarningRow, ...]:
        """The last `limit` security warnings, newest first."""
        rows = self._db.all("SELECT code, chat_id, params, at_ms FROM warnings ORDER BY id DESC LIMIT ?", limit)
        return tuple(WarningRow(code, chat, json.loads(params), at) for code, chat, params, at in rows)
