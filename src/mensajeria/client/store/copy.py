"""Which tables a full backup holds, and how their rows leave a store and come into a new one.

Every table stands in exactly one of the two lists (a test compares them with the schema). What encrypts (device keys,
pairwise and outbound sessions), what logs in, and what only this device's running conversation needs is never copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from sqlcipher3 import dbapi2

from mensajeria.client.store.connection import snapshot
from mensajeria.client.store.db import Db
from mensajeria.client.store.fulltext import index_new
from mensajeria.kit.secrets import Secret

KEPT: Final = (
    "chats", "contacts", "former_lists", "member_events", "groups", "group_members", "group_keys", "forks", "rows",
    "messages", "changes", "reactions", "tombstones", "timers", "timer_sessions", "attachments", "seen_mids",
    "seen_indices", "megolm_inbound", "settings", "verified", "security_events", "warnings",
    "inviters", "history_windows", "user_profiles",
)  # fmt: skip
"""In this order: what others refer to comes first."""
LEFT: Final = frozenset(
    {
        "meta", "own_keys", "outbox", "megolm_outbound", "shares", "own_voids", "olm_peers", "seen_envelopes",
        "seen_device_mids", "parked", "device_outbox", "key_requests", "key_answers", "unindexed",
        "backup_pending", "backup_known", "backup_index", "key_sources", "pending_events", "verify_requests",
        "issued_invites", "welcomes", "early_keys", "erasures", "uploads", "unwanted_files", "key_log",
        "key_log_blocks", "key_log_heads", "key_log_claims", "key_log_evidence", "former_people",
        "history_grants", "history_grantees", "history_shares", "history_early",
        "profile_wish", "profile_told", "sent_rows", "holes",
    }
)  # fmt: skip
_SENT: Final = "state NOT IN ('queued', 'failed')"
_WITHOUT: Final = {
    "messages": f"WHERE {_SENT}",
    "attachments": f"WHERE message IN (SELECT id FROM messages WHERE {_SENT})",
    "reactions": f"WHERE message IN (SELECT id FROM messages WHERE {_SENT})",
    "changes": "WHERE seq IS NOT NULL",
}
"""What was never sent stays where its ciphertexts were made."""
_AFTERWARDS: Final = (
    "UPDATE chats SET prev_session = NULL, prev_idx = NULL, cursor_sent = 0, read_sent = read_seq",
    "UPDATE settings SET saved_n = 0, told = 1",
    "INSERT INTO unindexed SELECT id FROM messages WHERE kind = 'text'",
    "INSERT INTO meta VALUES('rolled_back', x'31')",
)
"""The next login adds a new device (see `profiles.ROLLED_BACK`)."""
Values = tuple[Any, ...]


def tables_of(connection: dbapi2.Connection) -> set[str]:
    """The tables of a store, without SQLite's own and those of the text index."""
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return {name for (name,) in rows if not name.startswith(("sqlite_", "messages_fts"))}


def export_rows(path: Path, key: Secret) -> Iterator[tuple[str, tuple[str, ...], Iterator[Values]]]:
    """Every kept table of the store as of one moment: (name, columns, rows). The store may be open elsewhere."""
    connection = snapshot(path, key)
    try:
        for table in KEPT:
            columns = _columns(connection, table)
            yield table, columns, _rows(connection, table, columns)
    finally:
        connection.close()


def _rows(connection: dbapi2.Connection, table: str, columns: tuple[str, ...]) -> Iterator[Values]:
    yield from connection.execute(f"SELECT {', '.join(columns)} FROM {table} {_WITHOUT.get(table, '')}")


def _columns(connection: dbapi2.Connection, table: str) -> tuple[str, ...]:
    """The stored columns; generated ones are computed again."""
    return tuple(row[1] for row in connection.execute(f"PRAGMA table_xinfo({table})") if row[6] == 0)


class Importer:
    """Puts rows into the empty tables of a new store, inside its transaction."""

    def __init__(self, connection: dbapi2.Connection) -> None:
        self._connection = connection
        self._sql = ""
        self._width = 0

    def table(self, name: str, columns: tuple[str, ...]) -> None:
        """The rows that follow are this table's. Raises ValueError for a table or column that no backup has."""
        if name not in KEPT or not columns or not set(columns) <= set(_columns(self._connection, name)):
            raise ValueError("unknown table or column")
        marks = ", ".join("?" * len(columns))
        self._sql, self._width = f"INSERT INTO {name}({', '.join(columns)}) VALUES({marks})", len(columns)

    def row(self, values: Values) -> None:
        """One row. Raises ValueError."""
        known = all(value is None or type(value) in {int, float, str, bytes} for value in values)
        if not self._sql or len(values) != self._width or not known:
            raise ValueError("a row of another table")
        try:
            self._connection.execute(self._sql, values)
        except (dbapi2.IntegrityError, OverflowError) as error:
            raise ValueError("a row that does not fit") from error

    def finish(self) -> None:
        """After the last row."""
        for statement in _AFTERWARDS:
            self._connection.execute(statement)
        db = Db(self._connection)
        index_new(db)
        db.end()
