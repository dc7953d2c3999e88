"""Who was asked for a missing session and what was answered; membership events still to be signed; counters."""

from __future__ import annotations

from dataclasses import dataclass

from mensajeria.client.store.chats import chat_key
from mensajeria.client.store.db import Db
from mensajeria.protocol.ids import ChatId, Did, SessionId


class KeySources:
    """`tx.sources`: the devices that could have a missing session."""

    __slots__ = ("_db",)

    def __init__(self, db: Db) -> None:
        self._db = db

    def asked(self, chat_id: ChatId, session_id: SessionId, did: Did, at_ms: int) -> None:
        """A question is on its way; an earlier answer is forgotten."""
        self._db.execute(
            "INSERT OR REPLACE INTO key_sources VALUES(?, ?, ?, ?, NULL)",
            chat_key(self._db, chat_id),
            session_id,
            did,
            at_ms,
        )

    def answered(self, chat_id: ChatId, session_id: SessionId, did: Did, answer: str, at_ms: int) -> None:
        """A device that was asked cannot help. Without effect for one that was not asked."""
        self._db.execute(
            "UPDATE key_sources SET answer = ?, at_ms = ? WHERE chat = ? AND session_id = ? AND did = ?",
            answer,
            at_ms,
            chat_key(self._db, chat_id),
            session_id,
            did,
        )

    def cannot_help(self, chat_id: ChatId, session_id: SessionId, since_ms: int) -> dict[Did, str]:
        """The devices that have said since then that they cannot help, and why."""
        sql = "SELECT did, answer FROM key_sources WHERE chat = ? AND session_id = ? AND answer NOT NULL AND at_ms >= ?"
        rows = self._db.all(sql, chat_key(self._db, chat_id), session_id, since_ms)
        return {Did(did): answer for did, answer in rows}

    def forget(self, chat_id: ChatId, session_id: SessionId) -> None:
        """The session is here, or given up."""
        key = chat_key(self._db, chat_id)
        self._db.execute("DELETE FROM key_sources WHERE chat = ? AND session_id = ?", key, session_id)


@dataclass(frozen=True, slots=True)
class PendingEvent:
    """A `device` event of the own list version `dl_ver` that a chat still needs."""

    chat_id: ChatId
    dl_ver: int
    tries: int
    next_ms: int


class PendingEvents:
    """`tx.pending_events`: chats that must be told that a device was removed. Survives a crash; one for each chat."""

    __slots__ = ("_db",)

    def __init__(self, db: Db) -> None:
        self._db = db

    def put(self, event: PendingEvent) -> None:
        """Note that a chat needs the event; a newer list version replaces an older one."""
        self._db.execute(
            "INSERT INTO pending_events VALUES(?, ?, ?, ?) ON CONFLICT(chat) DO UPDATE SET "
            "dl_ver = excluded.dl_ver, tries = excluded.tries, next_ms = excluded.next_ms "
            "WHERE excluded.dl_ver >= dl_ver",
            chat_key(self._db, event.chat_id),
            event.dl_ver,
            event.tries,
            event.next_ms,
        )

    def due(self, now_ms: int, limit: int = 64) -> tuple[PendingEvent, ...]:
        """What is to be signed now."""
        sql = (
            "SELECT c.chat_id, p.dl_ver, p.tries, p.next_ms FROM pending_events p JOIN chats c ON c.key = p.chat "
            "WHERE p.next_ms <= ? ORDER BY p.next_ms, p.chat LIMIT ?"
        )
        rows = self._db.all(sql, now_ms, limit)
        return tuple(PendingEvent(ChatId(chat_id), ver, tries, at) for chat_id, ver, tries, at in rows)

    def next_due_ms(self) -> int | None:
        """When the next one is due."""
        value: int | None = self._db.value("SELECT min(next_ms) FROM pending_events")
        return value

    def remove(self, chat_id: ChatId, dl_ver: int) -> None:
        """The chat knows of the version, or a newer one."""
        key = chat_key(self._db, chat_id)
        self._db.execute("DELETE FROM pending_events WHERE chat = ? AND dl_ver <= ?", key, dl_ver)


class HealthFacts:
    """`tx.health`: what does not work, counted."""

    __slots__ = ("_db",)

    def __init__(self, db: Db) -> None:
        self._db = db

    def rows(self) -> dict[str, int]:
        """How many rows of logs are kept because they could not be shown, by the reason."""
        return dict(self._db.all("SELECT outcome, count(*) FROM rows GROUP BY outcome"))

    def oldest_request_ms(self) -> int | None:
        """When the oldest session that is still missing was missed first."""
        value: int | None = self._db.value("SELECT min(first_ms) FROM key_requests")
        return value

    def sessions_missing(self) -> int:
        """How many sessions are asked for."""
        count: int = self._db.value("SELECT count(*) FROM key_requests")
        return count

    def counters(self, prefix: str) -> dict[str, int]:
        """The counters of the meta table whose names begin so, without that beginning."""
        sql = "SELECT substr(name, ?), value FROM meta WHERE substr(name, 1, ?) = ?"
        return dict(self._db.all(sql, len(prefix) + 1, len(prefix), prefix))

    def envelopes(self) -> dict[str, int]:
        """Received envelopes of the last 60 days by where they ended."""
        return dict(self._db.all("SELECT outcome, count(*) FROM seen_envelopes GROUP BY outcome"))

    def pending_events(self) -> int:
        """Chats that do not know yet that a device was removed."""
        count: int = self._db.value("SELECT count(*) FROM pending_events")
        return count
