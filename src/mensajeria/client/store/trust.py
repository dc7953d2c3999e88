"""Who was verified, who asks for it, invites with trust, and what happened to the security of people and chats."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mensajeria.client.api import SecurityKind, VerificationMethod
from mensajeria.client.store.db import Db, Row
from mensajeria.client.store.values import WarningRow
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.ids import ChatId, Did, Idfp, Uid


@dataclass(frozen=True, slots=True)
class VerifiedRow:
    """An identity that was verified."""

    uid: Uid
    idfp: Idfp
    method: VerificationMethod
    at_ms: int


@dataclass(frozen=True, slots=True)
class RequestRow:
    """Somebody's device asks to compare emoji."""

    vid: bytes
    uid: Uid
    did: Did
    idfp: Idfp
    at_ms: int


@dataclass(frozen=True, slots=True)
class SecurityRow:
    """Something that happened: to a person (uid), in a chat, or both."""

    at_ms: int
    kind: SecurityKind
    uid: Uid | None
    chat_id: ChatId | None
    params: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class IssuedInvite:
    """A link of this account's."""

    id: bytes
    secret: Secret
    uses_left: int


@dataclass(frozen=True, slots=True)
class Inviter:
    """By whose link this account came."""

    uid: Uid
    idfp: Idfp
    invite: bytes
    secret: Secret


_SECURITY: Final = "SELECT at_ms, kind, uid, chat_id, params FROM security_events"


class Trusts:
    """`tx.trust`."""

    __slots__ = ("_db",)

    def __init__(self, db: Db) -> None:
        self._db = db

    # --- verified identities ---

    def put_verified(self, row: VerifiedRow) -> None:
        """Remember that an identity was verified; a later time replaces an earlier one."""
        sql = "INSERT OR REPLACE INTO verified(uid, idfp, method, at_ms) VALUES(?, ?, ?, ?)"
        self._db.execute(sql, row.uid, row.idfp, row.method.value, row.at_ms)

    def verified(self, uid: Uid, idfp: bytes) -> VerifiedRow | None:
        """How and when this identity was verified."""
        row = self._db.one("SELECT uid, idfp, method, at_ms FROM verified WHERE uid = ? AND idfp = ?", uid, idfp)
        return None if row is None else _verified(row)

    def all_verified(self) -> tuple[VerifiedRow, ...]:
        """Every verified identity."""
        return tuple(map(_verified, self._db.all("SELECT uid, idfp, method, at_ms FROM verified ORDER BY at_ms, uid")))

    def remove_verified(self, uid: Uid) -> bool:
        """No identity of this person counts as verified any more; whether one had."""
        return self._db.changed("DELETE FROM verified WHERE uid = ?", uid) > 0

    # --- requests to compare ---

    def add_request(self, row: RequestRow) -> bool:
        """Keep a request; False for one that was seen before, also when it is over."""
        sql = "INSERT OR IGNORE INTO verify_requests(vid, uid, did, idfp, at_ms, open) VALUES(?, ?, ?, ?, ?, 1)"
        return self._db.changed(sql, row.vid, row.uid, row.did, row.idfp, row.at_ms) > 0

    def request(self, uid: Uid, since_ms: int) -> RequestRow | None:
        """The person's newest open request that came after `since_ms`."""
        row = self._db.one(
            "SELECT vid, uid, did, idfp, at_ms FROM verify_requests "
            "WHERE uid = ? AND open AND at_ms > ? ORDER BY at_ms DESC LIMIT 1",
            uid,
            since_ms,
        )
        if row is None:
            return None
        vid, uid_, did, idfp, at_ms = row
        return RequestRow(vid, Uid(uid_), Did(did), Idfp(idfp), at_ms)

    def close_request(self, vid: bytes, uid: Uid) -> bool:
        """The person's request is answered, withdrawn or refused: it never counts again."""
        return self._db.changed("UPDATE verify_requests SET open = 0 WHERE vid = ? AND uid = ? AND open", vid, uid) > 0

    def forget_requests(self, before_ms: int) -> None:
        """Requests that are too old to be taken for new ones."""
        self._db.execute("DELETE FROM verify_requests WHERE at_ms < ?", before_ms)

    # --- what happened ---

    def note(self, row: SecurityRow) -> None:
        """Keep what happened."""
        params = json.dumps(dict(row.params))
        sql = "INSERT INTO security_events(at_ms, kind, uid, chat_id, params) VALUES(?, ?, ?, ?, ?)"
        self._db.execute(sql, row.at_ms, row.kind.value, row.uid, row.chat_id, params)

    def timeline(self, chat_id: ChatId, people: Sequence[Uid], limit: int) -> tuple[SecurityRow, ...]:
        """What happened to these people or in this chat, oldest first, the last `limit`."""
        marks = ", ".join("?" * len(people))
        sql = f"{_SECURITY} WHERE chat_id = ? OR (chat_id IS NULL AND uid IN ({marks})) ORDER BY id DESC LIMIT ?"
        return tuple(map(_security, self._db.all(sql, chat_id, *people, limit)))[::-1]

    def warnings(self, chat_id: ChatId, limit: int) -> tuple[WarningRow, ...]:
        """The last security warnings of a chat, oldest first."""
        sql = "SELECT code, chat_id, params, at_ms FROM warnings WHERE chat_id = ? ORDER BY id DESC LIMIT ?"
        rows = self._db.all(sql, chat_id, limit)
        return tuple(WarningRow(code, chat, json.loads(params), at) for code, chat, params, at in rows)[::-1]

    # --- invites with trust ---

    def put_issued(self, invite: IssuedInvite, expires_ms: int) -> None:
        """A link was made; until `expires_ms` its proofs count."""
        sql = "INSERT OR REPLACE INTO issued_invites(id, secret, uses_left, expires_ms) VALUES(?, ?, ?, ?)"
        self._db.execute(sql, invite.id, invite.secret.reveal(), invite.uses_left, expires_ms)

    def issued(self, invite_id: bytes, now_ms: int) -> IssuedInvite | None:
        """A link of this account's that still counts."""
        sql = "SELECT id, secret, uses_left FROM issued_invites WHERE id = ? AND expires_ms > ? AND uses_left > 0"
        row = self._db.one(sql, invite_id, now_ms)
        return None if row is None else IssuedInvite(row[0], Secret(row[1]), row[2])

    def use_issued(self, invite_id: bytes) -> None:
        """Somebody has proven to have the link."""
        self._db.execute("UPDATE issued_invites SET uses_left = uses_left - 1 WHERE id = ?", invite_id)

    def put_inviter(self, inviter: Inviter) -> None:
        """This account came by that link; what follows from it is still to be done."""
        sql = "INSERT OR REPLACE INTO inviters(uid, idfp, invite, secret, open) VALUES(?, ?, ?, ?, 1)"
        self._db.execute(sql, inviter.uid, inviter.idfp, inviter.invite, inviter.secret.reveal())

    def open_inviters(self) -> tuple[Inviter, ...]:
        """Whom this account must still show its proof."""
        rows = self._db.all("SELECT uid, idfp, invite, secret FROM inviters WHERE open")
        return tuple(Inviter(Uid(uid), Idfp(idfp), invite, Secret(secret)) for uid, idfp, invite, secret in rows)

    def close_inviter(self, uid: Uid) -> None:
        """The proof was handed over, or never will be."""
        self._db.execute("UPDATE inviters SET open = 0, secret = x'' WHERE uid = ?", uid)

    def put_welcome(self, chat_id: ChatId) -> None:
        """The server must still hear that this chat was accepted."""
        self._db.execute("INSERT OR IGNORE INTO welcomes(chat_id) VALUES(?)", chat_id)

    def welcomes(self) -> tuple[ChatId, ...]:
        """Chats of whose acceptance the server must still hear."""
        return tuple(ChatId(chat_id) for (chat_id,) in self._db.all("SELECT chat_id FROM welcomes"))

    def remove_welcome(self, chat_id: ChatId) -> None:
        """The server has heard it."""
        self._db.execute("DELETE FROM welcomes WHERE chat_id = ?", chat_id)


def _verified(row: Row) -> VerifiedRow:
    uid, idfp, method, at_ms = row
    return VerifiedRow(Uid(uid), Idfp(idfp), VerificationMethod(method), at_ms)


def _security(row: Row) -> SecurityRow:
    at_ms, kind, uid, chat_id, params = row
    return SecurityRow(
        at_ms,
        SecurityKind(kind),
        None if uid is None else Uid(uid),
        None if chat_id is None else ChatId(chat_id),
        json.loads(params),
    )
