"""Chosen history for new members: what this device gives, and what others have given to this one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from mensajeria.client.store.chats import chat_key
from mensajeria.client.store.db import Db, Row
from mensajeria.client.store.key_values import InboundKey
from mensajeria.protocol.ids import ChatId, Did, Mid, SessionId, Uid

MAX_EARLY: Final = 512
"""Letters with keys that are kept until the message that explains them is here."""
_UID: Final = 16
_SHARES: Final = (
    "SELECT s.position, c.chat_id, s.session_id, s.uid, s.did, s.idx FROM history_shares s "
    "JOIN history_grants g ON g.id = s.grant_id JOIN chats c ON c.key = g.chat"
)


@dataclass(frozen=True, slots=True)
class Grant:
    """People whom this device adds to a group, and how much of the past it gives them."""

    id: int
    chat_id: ChatId
    uids: tuple[Uid, ...]
    choice: str
    after_seq: int
    """The membership event before which nobody was added."""
    at_ms: int


@dataclass(frozen=True, slots=True)
class HistoryShare:
    """A sender session that may be given, from `idx` on."""

    position: int
    key: InboundKey
    idx: int


@dataclass(frozen=True, slots=True)
class Owed:
    """Somebody who has not been sent all their keys yet: those behind `pushed` follow."""

    grant_id: int
    chat_id: ChatId
    uid: Uid
    joined: int
    """The membership event that added them."""
    pushed: int


@dataclass(frozen=True, slots=True)
class Start:
    """Where a window begins in one sender session."""

    session_id: SessionId
    idx: int
    seq: int
    """The log's row of that message."""


class HistoryGrants:
    """`tx.grants`: by this device."""

    __slots__ = ("_db",)

    def __init__(self, db: Db) -> None:
        self._db = db

    def want(self, chat_id: ChatId, uids: Sequence[Uid], choice: str, after_seq: int, at_ms: int) -> None:
        """Note the choice before the event that adds them is signed."""
        sql = "INSERT INTO history_grants(chat, uids, choice, after_seq, at_ms) VALUES(?, ?, ?, ?, ?)"
        self._db.execute(sql, chat_key(self._db, chat_id), b"".join(uids), choice, after_seq, at_ms)

    def wanted(self) -> tuple[Grant, ...]:
        """Choices whose event was not seen yet."""
        rows = self._db.all(
            "SELECT g.id, c.chat_id, g.uids, g.choice, g.after_seq, g.at_ms FROM history_grants g "
            "JOIN chats c ON c.key = g.chat WHERE g.carrier IS NULL ORDER BY g.id"
        )
        return tuple(map(_grant, rows))

    def drop(self, grant_id: int) -> None:
        """Nobody was added by it, or there is nothing to give."""
        self._db.execute("DELETE FROM history_shares WHERE grant_id = ?", grant_id)
        self._db.execute("DELETE FROM history_grantees WHERE grant_id = ?", grant_id)
        self._db.execute("DELETE FROM history_grants WHERE id = ?", grant_id)

    def settle(self, grant: Grant, joined: int, carrier: Mid, shares: Iterable[tuple[InboundKey, int]]) -> None:
        """Fix what is given. It counts once the message `carrier`, which tells the group, is in the log."""
        self._db.execute("UPDATE history_grants SET carrier = ? WHERE id = ?", carrier, grant.id)
        for uid in grant.uids:
            sql = "INSERT INTO history_grantees(grant_id, uid, joined) VALUES(?, ?, ?)"
            self._db.execute(sql, grant.id, uid, joined)
        for key, idx in shares:
            sql = "INSERT INTO history_shares(grant_id, session_id, uid, did, idx) VALUES(?, ?, ?, ?, ?)"
            self._db.execute(sql, grant.id, key.session_id, key.uid, key.did, idx)

    def told(self, carrier: Mid) -> None:
        """The group was told: the keys may go."""
        self._db.execute("UPDATE history_grants SET told = 1 WHERE carrier = ?", carrier)

    def take_back(self, carrier: Mid) -> None:
        """The group cannot be told: nothing is given."""
        grant_id = self._db.value("SELECT id FROM history_grants WHERE carrier = ?", carrier)
        if grant_id is not None:
            self.drop(grant_id)

    def owed(self) -> tuple[Owed, ...]:
        """Who is still to be sent keys."""
        rows = self._db.all(
            "SELECT g.id, c.chat_id, e.uid, e.joined, e.pushed FROM history_grantees e "
            "JOIN history_grants g ON g.id = e.grant_id JOIN chats c ON c.key = g.chat "
            "WHERE g.told AND NOT e.done ORDER BY g.id, e.uid"
        )
        return tuple(Owed(grant, ChatId(chat), Uid(uid), joined, pushed) for grant, chat, uid, joined, pushed in rows)

    def shares(self, grant_id: int, after: int, limit: int) -> tuple[HistoryShare, ...]:
        """What a grant gives, behind the position `after`."""
        sql = f"{_SHARES} WHERE s.grant_id = ? AND s.position > ? ORDER BY s.position LIMIT ?"
        return tuple(map(_share, self._db.all(sql, grant_id, after, limit)))

    def pushed(self, owed: Owed, position: int, *, done: bool) -> None:
        """Their keys up to this position are on their way."""
        sql = "UPDATE history_grantees SET pushed = ?, done = ? WHERE grant_id = ? AND uid = ?"
        self._db.execute(sql, position, done, owed.grant_id, owed.uid)

    def given(
        self, chat_id: ChatId, uid: Uid, joined: int, session_id: SessionId, limit: int
    ) -> tuple[HistoryShare, ...]:
        """What somebody who came in by the event `joined` may have of a session, and of the next ones after it."""
        first = self._db.one(
            f"{_SHARES} JOIN history_grantees e ON e.grant_id = g.id WHERE c.chat_id = ? AND e.uid = ? "
            "AND e.joined = ? AND s.session_id = ? AND g.told LIMIT 1",
            chat_id,
            uid,
            joined,
            session_id,
        )
        if first is None:
            return ()
        share = _share(first)
        grant_id = self._db.value("SELECT grant_id FROM history_shares WHERE position = ?", share.position)
        return (share, *self.shares(grant_id, share.position, limit - 1))

    def starts(self, chat_id: ChatId, *, before: int, since_ms: int) -> tuple[Start, ...]:
        """Where the messages from `since_ms` on and above the row `before` begin in each session, the newest first.

        Both times must be in the window, the author's and the server's: neither alone can widen it. Of a session
        nothing is given below its last message from before. Sessions with messages that disappear are left out.
        """
        rows = self._db.all(
            "SELECT m.session_id, m.idx, m.seq, m.sent_ms >= ? AND m.server_ms >= ? AND m.expire_s = 0 FROM messages m "
            "WHERE m.chat = ? AND m.session_id IS NOT NULL AND m.idx IS NOT NULL AND m.seq < ? AND m.session_id NOT IN "
            "(SELECT session_id FROM timer_sessions) ORDER BY m.session_id, m.idx DESC",
            since_ms,
            since_ms,
            chat_key(self._db, chat_id),
            before,
        )
        found: dict[SessionId, Start] = {}
        closed: set[SessionId] = set()
        for session_id, idx, seq, inside in rows:
            session = SessionId(session_id)
            if not inside:
                closed.add(session)
            elif session not in closed:
                known = found.get(session)
                found[session] = Start(session, idx, seq if known is None else min(seq, known.seq))
        return tuple(sorted(found.values(), key=lambda one: -one.seq))


@dataclass(frozen=True, slots=True)
class Window:
    """Rows from before one joined that a member's device has given to this account."""

    chat_id: ChatId
    uid: Uid
    did: Did
    since: int
    upto: int
    next: int
    """The first row that was not fetched yet."""

    @property
    def is_done(self) -> bool:
        """Whether every row was fetched."""
        return self.next > self.upto


class HistoryWindows:
    """`tx.windows`: to this account."""

    __slots__ = ("_db",)

    def __init__(self, db: Db) -> None:
        self._db = db

    def open(self, chat_id: ChatId, giver: tuple[Uid, Did], since: int, upto: int) -> bool:
        """Note a window, once: whether it is new."""
        sql = "INSERT OR IGNORE INTO history_windows VALUES(?, ?, ?, ?, ?, ?)"
        return self._db.changed(sql, chat_key(self._db, chat_id), *giver, since, upto, since) > 0

    def unfinished(self) -> tuple[Window, ...]:
        """Windows of accepted chats that have rows to fetch."""
        sql = f"{_WINDOWS} WHERE w.next <= w.upto AND c.accepted ORDER BY w.chat, w.since"
        return tuple(map(_window, self._db.all(sql)))

    def at(self, chat_id: ChatId, seq: int) -> Window | None:
        """The window in which a row lies."""
        row = self._db.one(f"{_WINDOWS} WHERE c.chat_id = ? AND ? BETWEEN w.since AND w.upto LIMIT 1", chat_id, seq)
        return None if row is None else _window(row)

    def by(self, chat_id: ChatId, giver: tuple[Uid, Did]) -> Window | None:
        """The last window that a device has given."""
        sql = f"{_WINDOWS} WHERE c.chat_id = ? AND w.uid = ? AND w.did = ? ORDER BY w.upto DESC LIMIT 1"
        row = self._db.one(sql, chat_id, *giver)
        return None if row is None else _window(row)

    def is_fetching(self, chat_id: ChatId) -> bool:
        """Whether earlier rows of a chat are still to come."""
        sql = f"{_WINDOWS} WHERE c.chat_id = ? AND w.next <= w.upto LIMIT 1"
        return self._db.one(sql, chat_id) is not None

    def advance(self, window: Window, next_seq: int) -> None:
        """Rows below `next_seq` are decided."""
        sql = "UPDATE history_windows SET next = max(next, ?) WHERE chat = ? AND uid = ? AND did = ? AND upto = ?"
        key = chat_key(self._db, window.chat_id)
        self._db.execute(sql, next_seq, key, window.uid, window.did, window.upto)

    # --- keys that came before their window ---

    def put_early(self, chat_id: ChatId, giver: tuple[Uid, Did], content: bytes) -> None:
        """Keep a letter; the oldest ones give way."""
        sql = "INSERT INTO history_early(chat_id, uid, did, content) VALUES(?, ?, ?, ?)"
        self._db.execute(sql, chat_id, *giver, content)
        self._db.execute("DELETE FROM history_early WHERE id <= (SELECT max(id) FROM history_early) - ?", MAX_EARLY)

    def take_early(self, window: Window) -> tuple[bytes, ...]:
        """What was kept for a window; it is not kept any longer."""
        where = "WHERE chat_id = ? AND uid = ? AND did = ?"
        place = window.chat_id, window.uid, window.did
        rows = self._db.all(f"SELECT content FROM history_early {where} ORDER BY id", *place)
        self._db.execute(f"DELETE FROM history_early {where}", *place)
        return tuple(content for (content,) in rows)


_WINDOWS: Final = (
    "SELECT c.chat_id, w.uid, w.did, w.since, w.upto, w.next FROM history_windows w JOIN chats c ON c.key = w.chat"
)


def _grant(row: Row) -> Grant:
    grant_id, chat_id, uids, choice, after, at = row
    people = tuple(Uid(uids[start : start + _UID]) for start in range(0, len(uids), _UID))
    return Grant(grant_id, ChatId(chat_id), people, choice, after, at)


def _share(row: Row) -> HistoryShare:
    position, chat_id, session_id, uid, did, idx = row
    return HistoryShare(position, InboundKey(ChatId(chat_id), SessionId(session_id), Uid(uid), Did(did)), idx)


def _window(row: Row) -> Window:
    chat_id, uid, did, since, upto, following = row
    return Window(ChatId(chat_id), Uid(uid), Did(did), since, upto, following)
