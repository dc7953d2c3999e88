"""People: verified identities and device lists, trust, and what was announced but not fetched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from mensajeria.client.api import Person, Trust
from mensajeria.client.store.db import Db, Row
from mensajeria.client.store.values import Contact
from mensajeria.protocol.ids import Idfp, Uid

_COLUMNS: Final = (
    "uid, handle, identity, idfp, list_ver, list_hash, list_body, list_sig, updated_ms, trust, announced_ver, "
    "sending_blocked, former_idfp"
)

NOBODY: Final = Uid(bytes(16))
"""Stands for the author of what cannot be read in a group: nobody is named. No user has this id."""


class Contacts:
    """`tx.contacts`. Whoever calls has verified what is put in."""

    __slots__ = ("_db",)

    def __init__(self, db: Db) -> None:
        self._db = db

    def get(self, uid: Uid) -> Contact | None:
        """The contact `uid`."""
        row = self._db.one(f"SELECT {_COLUMNS} FROM contacts WHERE uid = ?", uid)
        return None if row is None else _contact(row)

    def some(self, uids: Sequence[Uid]) -> Iterator[Contact]:
        """Those of these contacts that there are."""
        return map(_contact, self._db.among(f"SELECT {_COLUMNS} FROM contacts WHERE uid IN", list(dict.fromkeys(uids))))

    def by_handle(self, handle: str) -> Contact | None:
        """Who is known under `handle`: rather an account that is still there, and whose identity raises no question."""
        sql = (
            f"SELECT {_COLUMNS} FROM contacts c WHERE handle = ? ORDER BY "
            "EXISTS(SELECT 1 FROM former_people f WHERE f.uid = c.uid AND f.gone), trust = ?, updated_ms DESC LIMIT 1"
        )
        row = self._db.one(sql, handle, Trust.CHANGED.value)
        return None if row is None else _contact(row)

    def all(self) -> tuple[Contact, ...]:
        """Every contact, by handle."""
        return tuple(map(_contact, self._db.all(f"SELECT {_COLUMNS} FROM contacts ORDER BY handle")))

    def namesakes(self, handle: str, uid: Uid) -> tuple[Contact, ...]:
        """Other people who are known under the same name."""
        sql = f"SELECT {_COLUMNS} FROM contacts WHERE handle = ? AND uid <> ? ORDER BY updated_ms DESC"
        return tuple(map(_contact, self._db.all(sql, handle, uid)))

    def put(self, contact: Contact) -> None:
        """Store `contact`; the device list that it replaces is kept as a former one, to judge older signatures."""
        self._db.execute(
            "INSERT OR IGNORE INTO former_lists SELECT uid, list_ver, list_hash, list_body FROM contacts "
            "WHERE uid = ? AND list_ver < ?",
            contact.uid,
            contact.list_ver,
        )
        self._db.execute(
            f"INSERT OR REPLACE INTO contacts({_COLUMNS}) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            contact.uid,
            contact.handle,
            contact.identity,
            contact.idfp,
            contact.list_ver,
            contact.list_hash,
            contact.list_body,
            contact.list_sig,
            contact.updated_ms,
            contact.trust.value,
            contact.announced_ver,
            contact.sending_blocked,
            contact.former_idfp,
        )

    def put_former_list(self, uid: Uid, ver: int, list_hash: bytes, body: bytes) -> None:
        """Keep an older list, vouched for by the chain of `prev`."""
        self._db.execute("INSERT OR IGNORE INTO former_lists VALUES(?, ?, ?, ?)", uid, ver, list_hash, body)

    def list_body(self, uid: Uid, ver: int) -> bytes | None:
        """The body of version `ver` of a device list, newest or former."""
        body: bytes | None = self._db.value(
            "SELECT list_body FROM contacts WHERE uid = ? AND list_ver = ? "
            "UNION ALL SELECT body FROM former_lists WHERE uid = ? AND ver = ? LIMIT 1",
            uid,
            ver,
            uid,
            ver,
        )
        return body

    def announce(self, uid: Uid, ver: int) -> bool:
        """Note that a list version exists; whether it is newer than the stored one. Unknown users: False."""
        sql = "UPDATE contacts SET announced_ver = max(announced_ver, ?) WHERE uid = ? AND list_ver < ?"
        return self._db.changed(sql, ver, uid, ver) > 0

    def stale(self) -> tuple[Uid, ...]:
        """Users whose newest list is not fetched yet."""
        rows = self._db.all("SELECT uid FROM contacts WHERE announced_ver > list_ver")
        return tuple(Uid(uid) for (uid,) in rows)

    def doubt(self, uid: Uid) -> None:
        """It is to be asked whether this person's account is still there."""
        self._db.execute("INSERT OR IGNORE INTO former_people(uid, gone) VALUES(?, 0)", uid)

    def doubted(self, asked_before_ms: int) -> tuple[Uid, ...]:
        """Whose account may be gone, and those whose was when one asked last, before `asked_before_ms`."""
        rows = self._db.all("SELECT uid FROM former_people WHERE NOT gone OR asked_ms < ?", asked_before_ms)
        return tuple(Uid(uid) for (uid,) in rows)

    def set_gone(self, uid: Uid, asked_ms: int) -> bool:
        """The account is gone, by the server's word; whether that is news."""
        news = not self.is_gone(uid)
        self._db.execute("INSERT OR REPLACE INTO former_people(uid, gone, asked_ms) VALUES(?, 1, ?)", uid, asked_ms)
        return news

    def set_there(self, uid: Uid) -> bool:
        """The account is there; whether it was thought to be gone."""
        gone = self.is_gone(uid)
        self._db.execute("DELETE FROM former_people WHERE uid = ?", uid)
        return gone

    def settle(self, uid: Uid) -> None:
        """The server has answered for the person, whatever it was worth."""
        self._db.execute("DELETE FROM former_people WHERE uid = ? AND NOT gone", uid)

    def is_gone(self, uid: Uid) -> bool:
        """Whether the person's account does not exist any more."""
        return self._db.one("SELECT 1 FROM former_people WHERE uid = ? AND gone", uid) is not None

    def set_trust(self, uid: Uid, trust: Trust, *, sending_blocked: bool = False) -> None:
        """Set how sure we are of the contact, and whether sending waits for an answer."""
        sql = "UPDATE contacts SET trust = ?, sending_blocked = ? WHERE uid = ?"
        self._db.execute(sql, trust.value, sending_blocked, uid)

    def person(self, uid: Uid) -> Person:
        """The contact as people see it; the beginning of the id where no name is known yet."""
        row = self._db.one("SELECT handle, trust FROM contacts WHERE uid = ?", uid)
        return person(uid, *(row or (None, None)))


def person(uid: bytes, handle: str | None, trust: str | None) -> Person:
    """A `Person` from columns that a LEFT JOIN may have left empty."""
    if uid == NOBODY:
        return Person(NOBODY, "")
    return Person(Uid(uid), handle or uid.hex()[:8], Trust(trust) if trust else Trust.FIRST_USE)


def _contact(row: Row) -> Contact:
    uid, handle, identity, idfp, ver, list_hash, body, sig, updated, trust, announced, blocked, former = row
    return Contact(
        uid=Uid(uid),
        handle=handle,
        identity=identity,
        idfp=Idfp(idfp),
        list_ver=ver,
        list_hash=list_hash,
        list_body=body,
        list_sig=sig,
        updated_ms=updated,
        trust=Trust(trust),
        announced_ver=announced,
        sending_blocked=bool(blocked),
        former_idfp=None if former is None else Idfp(former),
    )
