"""What the key backup has, what it still needs, and the settings shared between own devices."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from mensajeria.client.store.db import Db, Row
from mensajeria.client.store.key_values import InboundKey
from mensajeria.protocol.ids import ChatId, Did, SessionId, Uid
from mensajeria.protocol.records_backup import PAGE_ENTRIES, SESSION_ROW, IndexEntry


@dataclass(frozen=True, slots=True)
class StoredSetting:
    """A setting; `saved_n` = the backup version under which the server has this very value, 0 = none."""

    key: str
    value: bytes = field(repr=False)
    counter: int
    did: Did
    saved_n: int = 0
    told: bool = True
    """The other own devices have been told."""


class Backups:
    """`tx.backup`. Sessions become pending when one is stored (`tx.inbound`) or, by a trigger, first used.

    `n` is the backup version.
    """

    __slots__ = ("_db",)

    def __init__(self, db: Db) -> None:
        self._db = db

    # --- sessions that may need a row ---

    def pending(self, limit: int) -> tuple[InboundKey, ...]:
        """Sessions that are new or better than when they were last looked at."""
        sql = (
            "SELECT c.chat_id, p.session_id, p.uid, p.did FROM backup_pending p JOIN chats c ON c.key = p.chat "
            "ORDER BY p.session_id LIMIT ?"
        )
        return tuple(
            InboundKey(ChatId(chat), SessionId(session), Uid(uid), Did(did))
            for chat, session, uid, did in self._db.all(sql, limit)
        )

    def count_pending(self) -> int:
        """How many sessions wait, or are on their way."""
        waiting: int = self._db.value("SELECT count(*) FROM backup_pending")
        on_the_way: int = self._db.value("SELECT count(*) FROM backup_index WHERE NOT confirmed")
        return waiting + on_the_way

    def is_used(self, session_id: SessionId) -> bool:
        """Whether a message of the session was seen: before that nobody knows whether it will disappear."""
        return self._db.one("SELECT 1 FROM seen_indices WHERE session_id = ? LIMIT 1", session_id) is not None

    def looked_at(self, key: InboundKey) -> None:
        """The session is not pending any more."""
        self._db.execute(
            "DELETE FROM backup_pending WHERE session_id = ? AND uid = ? AND did = ? "
            "AND chat = (SELECT key FROM chats WHERE chat_id = ?)",
            key.session_id,
            key.uid,
            key.did,
            key.chat_id,
        )

    def begin_version(self, n: int) -> None:
        """There is a new backup version: every session needs a row under it, and what was on its way under others goes.

        The server refuses that, or has it for nothing: it would be on its way for ever.
        """
        self._db.execute("DELETE FROM backup_index WHERE n < ? AND NOT confirmed", n)
        self.pend_all()

    def pend_all(self) -> None:
        """Every session needs a row."""
        self._db.execute("INSERT OR IGNORE INTO backup_pending SELECT session_id, chat, uid, did FROM megolm_inbound")

    def pend_unconfirmed(self, n: int) -> None:
        """Nobody knows whether the server has got these: they are sealed and sent again."""
        self._db.execute(
            "INSERT OR IGNORE INTO backup_pending SELECT i.session_id, i.chat, i.uid, i.did FROM backup_index i "
            "JOIN megolm_inbound m ON m.session_id = i.session_id AND m.chat = i.chat AND m.uid = i.uid "
            "AND m.did = i.did WHERE i.n = ? AND NOT i.confirmed AND i.kind = ?",
            n,
            SESSION_ROW,
        )

    # --- what the server has ---

    def all_known(self, n: int) -> dict[bytes, int]:
        """Every row that the server is known to have under `n`, and its version."""
        return dict(self._db.all("SELECT row_id, counter FROM backup_known WHERE n = ?", n))

    def known(self, n: int, row_id: bytes) -> int:
        """The version of a row that the server is known to have, -1 = none."""
        counter: int | None = self._db.value("SELECT counter FROM backup_known WHERE n = ? AND row_id = ?", n, row_id)
        return -1 if counter is None else counter

    def note_known(self, n: int, row_id: bytes, counter: int) -> None:
        """The server has this version of the row."""
        self._db.execute(
            "INSERT INTO backup_known VALUES(?, ?, ?) "
            "ON CONFLICT(n, row_id) DO UPDATE SET counter = max(counter, excluded.counter)",
            n,
            row_id,
            counter,
        )

    def note_all_known(self, n: int, versions: Iterable[tuple[bytes, int]]) -> None:
        """`note_known` for many rows: (row id, counter). In the order of their ids, neighbours are written together."""
        rows = [(n, row_id, counter) for row_id, counter in sorted(versions)]
        self._db.insert_all(
            "backup_known", rows, "ON CONFLICT(n, row_id) DO UPDATE SET counter = max(counter, excluded.counter)"
        )

    def forget_index(self) -> None:
        """This is another device from now on: its index begins anew. What the server has stays known."""
        self._db.execute("DELETE FROM backup_index")

    def waited_for(self, chats: Iterable[bytes], sessions: Iterable[bytes]) -> set[bytes]:
        """Which of these chats' sessions are being asked for."""
        keys = [self._db.value("SELECT key FROM chats WHERE chat_id = ?", chat_id) for chat_id in chats]
        sql = "SELECT 1 FROM key_requests WHERE chat = ? LIMIT 1"
        waiting = [key for key in keys if key is not None and self._db.one(sql, key) is not None]
        sql = "SELECT 1 FROM key_requests WHERE chat = ? AND session_id = ? LIMIT 1"
        return {one for one in sessions if any(self._db.one(sql, key, one) is not None for key in waiting)}

    def waiting(self, limit: int) -> tuple[tuple[ChatId, SessionId], ...]:
        """Sessions that rows wait for, those of the latest chats first."""
        sql = (
            "SELECT c.chat_id, k.session_id FROM key_requests k JOIN chats c ON c.key = k.chat "
            "ORDER BY c.activity_ms DESC LIMIT ?"
        )
        return tuple((ChatId(chat), SessionId(session)) for chat, session in self._db.all(sql, limit))

    def forget_below(self, n: int) -> None:
        """The server keeps nothing under older versions any more."""
        self._db.execute("DELETE FROM backup_known WHERE n < ?", n)
        self._db.execute("DELETE FROM backup_index WHERE n < ?", n)

    def forget_server(self) -> None:
        """The server was restored: nobody knows what it has. Everything is sent again; the index stays as it is."""
        self._db.execute("DELETE FROM backup_known")
        self._db.execute("UPDATE backup_index SET confirmed = 0 WHERE n = (SELECT max(n) FROM backup_index)")
        self._db.execute("UPDATE settings SET saved_n = 0")
        self.pend_all()

    def count_known(self, n: int) -> int:
        """How many rows the server is known to have under `n`."""
        count: int = self._db.value("SELECT count(*) FROM backup_known WHERE n = ?", n)
        return count

    # --- this device's index ---

    def entries(self, n: int) -> int:
        """How many entries the index has."""
        last: int | None = self._db.value("SELECT max(position) FROM backup_index WHERE n = ?", n)
        return 0 if last is None else last + 1

    def place(self, n: int, entry: IndexEntry, key: InboundKey | None) -> int:
        """The entry's position in the index: where it stands, or at the end."""
        sql = "SELECT position FROM backup_index WHERE n = ? AND row_id = ? AND counter = ?"
        found: int | None = self._db.value(sql, n, entry.row_id, entry.counter)
        if found is not None:
            return found
        position = self.entries(n)
        sql = "INSERT INTO backup_index VALUES(?, ?, ?, ?, ?, 0, (SELECT key FROM chats WHERE chat_id = ?), ?, ?, ?)"
        session = (None, None, None, None) if key is None else (key.chat_id, key.session_id, key.uid, key.did)
        self._db.execute(sql, n, position, entry.kind, entry.row_id, entry.counter, *session)
        return position

    def page(self, n: int, page: int) -> tuple[IndexEntry, ...]:
        """The entries of an index page."""
        sql = (
            "SELECT kind, row_id, counter FROM backup_index WHERE n = ? AND position >= ? AND position < ? "
            "ORDER BY position"
        )
        rows = self._db.all(sql, n, page * PAGE_ENTRIES, (page + 1) * PAGE_ENTRIES)
        return tuple(IndexEntry(kind, row_id, counter) for kind, row_id, counter in rows)

    def confirm(self, n: int, positions: Iterable[int]) -> None:
        """The server has stored the rows of these entries."""
        for position in positions:
            self._db.execute("UPDATE backup_index SET confirmed = 1 WHERE n = ? AND position = ?", n, position)


class SettingsTable:
    """`tx.settings`: values that the own devices share, by key."""

    __slots__ = ("_db",)

    def __init__(self, db: Db) -> None:
        self._db = db

    def get(self, key: str) -> StoredSetting | None:
        """The setting; one that was removed has an empty value."""
        row = self._db.one("SELECT key, value, counter, did, saved_n, told FROM settings WHERE key = ?", key)
        return None if row is None else _setting(row)

    def all(self, prefix: str = "") -> tuple[StoredSetting, ...]:
        """The settings whose key begins so, by key, without the removed ones."""
        sql = (
            "SELECT key, value, counter, did, saved_n, told FROM settings "
            "WHERE substr(key, 1, ?) = ? AND length(value) ORDER BY key"
        )
        return tuple(_setting(row) for row in self._db.all(sql, len(prefix), prefix))

    def put(self, setting: StoredSetting) -> None:
        """Store it in place of what is there."""
        self._db.execute(
            "INSERT OR REPLACE INTO settings VALUES(?, ?, ?, ?, ?, ?)",
            setting.key,
            setting.value,
            setting.counter,
            setting.did,
            setting.saved_n,
            setting.told,
        )

    def unsaved(self, n: int, limit: int) -> tuple[StoredSetting, ...]:
        """Settings that the server does not have under `n`."""
        sql = "SELECT key, value, counter, did, saved_n, told FROM settings WHERE saved_n != ? ORDER BY key LIMIT ?"
        return tuple(_setting(row) for row in self._db.all(sql, n, limit))

    def untold(self, limit: int = 100) -> tuple[StoredSetting, ...]:
        """Settings that were changed here and that the other own devices have not been told."""
        sql = "SELECT key, value, counter, did, saved_n, told FROM settings WHERE NOT told ORDER BY key LIMIT ?"
        return tuple(_setting(row) for row in self._db.all(sql, limit))

    def told(self, key: str, counter: int) -> None:
        """The other own devices have been told that version."""
        self._db.execute("UPDATE settings SET told = 1 WHERE key = ? AND counter = ?", key, counter)

    def count_unsaved(self, n: int) -> int:
        """How many settings the server does not have under `n`."""
        count: int = self._db.value("SELECT count(*) FROM settings WHERE saved_n != ?", n)
        return count

    def saved(self, key: str, counter: int, n: int) -> None:
        """The server has that version of the setting under `n`."""
        self._db.execute("UPDATE settings SET saved_n = ? WHERE key = ? AND counter = ?", n, key, counter)


def _setting(row: Row) -> StoredSetting:
    key, value, counter, did, saved_n, told = row
    return StoredSetting(key, value, counter, Did(did), saved_n, bool(told))
