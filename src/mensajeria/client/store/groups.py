"""Groups: who is in each, what it is called, its profile keys, and the evidence of forks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mensajeria.client.store.chats import chat_key
from mensajeria.client.store.db import Db, Row
from mensajeria.client.store.errors import StoreMisuseError
from mensajeria.client.store.values import Group, GroupMember, Halt
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.ids import ChatId, Did, Uid

MAX_EARLY: Final = 256
EARLY_MS: Final = 7 * 24 * 3600 * 1000
"""How many sender keys of unknown groups are kept, and for how long."""
MAX_KEYS: Final = 8
"""Profile keys kept for a group: whoever is in it can give one, and only the newest ones can be of use."""
_GROUP: Final = (
    "SELECT c.chat_id, g.role, g.name, g.description, g.profile_ver, g.halted, g.leaving, g.supersedes, "
    "g.superseded_by, g.joined_seq, g.skipped_from FROM groups g JOIN chats c ON c.key = g.chat"
)


class Groups:
    """`tx.groups`. Whoever calls has verified what is put in."""

    __slots__ = ("_db",)

    def __init__(self, db: Db) -> None:
        self._db = db

    def get(self, chat_id: ChatId) -> Group | None:
        """The group, None for a direct chat and for an unknown one."""
        row = self._db.one(f"{_GROUP} WHERE c.chat_id = ?", chat_id)
        return None if row is None else _group(row)

    def leaving(self) -> tuple[ChatId, ...]:
        """Groups that the person has left and the server still counts them in."""
        rows = self._db.all("SELECT c.chat_id FROM groups g JOIN chats c ON c.key = g.chat WHERE g.leaving")
        return tuple(ChatId(chat_id) for (chat_id,) in rows)

    def joined(self) -> tuple[ChatId, ...]:
        """Groups that one is in, as far as this device knows; without those that were declined."""
        sql = "SELECT c.chat_id FROM groups g JOIN chats c ON c.key = g.chat WHERE g.role <> '' AND NOT c.declined"
        return tuple(ChatId(chat_id) for (chat_id,) in self._db.all(sql))

    # --- what its events say ---

    def set_members(self, chat_id: ChatId, roles: Mapping[bytes, str], own: Uid) -> None:
        """Who is in the group after its last valid event. What they have read is remembered while they stay."""
        key = chat_key(self._db, chat_id)
        known: dict[bytes, str] = dict(self._db.all("SELECT uid, role FROM group_members WHERE chat = ?", key))
        for uid in known.keys() - roles.keys():
            self._db.execute("DELETE FROM group_members WHERE chat = ? AND uid = ?", key, uid)
        for uid, role in roles.items():
            if known.get(uid) != role:
                sql = (
                    "INSERT INTO group_members(chat, uid, role) VALUES(?, ?, ?) "
                    "ON CONFLICT(chat, uid) DO UPDATE SET role = excluded.role"
                )
                self._db.execute(sql, key, uid, role)
        self._set(key, "role = ?", roles.get(own, ""))

    def members(self, chat_id: ChatId) -> tuple[GroupMember, ...]:
        """Who is in the group, by uid."""
        sql = "SELECT uid, role, read_seq FROM group_members WHERE chat = ? ORDER BY uid"
        rows = self._db.all(sql, chat_key(self._db, chat_id))
        return tuple(GroupMember(Uid(uid), role, read) for uid, role, read in rows)

    def set_joined(self, chat_id: ChatId, seq: int, skipped_from: int) -> None:
        """Row of the log by which one came in, and the first one below it that this device has never decided."""
        self._set(chat_key(self._db, chat_id), "joined_seq = ?, skipped_from = ?", seq, skipped_from)

    def set_profile(self, chat_id: ChatId, *, name: str, description: str, picture: bytes = b"", ver: int) -> None:
        """What the group is called by its event `ver`, and its picture."""
        fields = "name = ?, description = ?, picture = ?, profile_ver = ?"
        self._set(chat_key(self._db, chat_id), fields, name, description, picture, ver)

    def picture(self, chat_id: ChatId) -> bytes:
        """The group's picture, empty when it has none: apart from `get`, which every message asks."""
        sql = "SELECT g.picture FROM groups g JOIN chats c ON c.key = g.chat WHERE c.chat_id = ?"
        return self._db.value(sql, chat_id) or b""

    def set_superseded(self, chat_id: ChatId, by: ChatId) -> None:
        """The group is closed; another one follows it."""
        self._set(chat_key(self._db, chat_id), "superseded_by = ?", by)

    def set_supersedes(self, chat_id: ChatId, former: ChatId) -> None:
        """The group follows another one."""
        self._set(chat_key(self._db, chat_id), "supersedes = ?", former)

    def following(self, former: ChatId) -> tuple[ChatId, ...]:
        """The groups that follow another one and in which one is, by id: several may have made one at once."""
        sql = """SELECT c.chat_id FROM groups g JOIN chats c ON c.key = g.chat
        WHERE g.supersedes = ? AND g.role <> '' ORDER BY c.chat_id"""
        return tuple(ChatId(chat_id) for (chat_id,) in self._db.all(sql, former))

    # --- its state here ---

    def halt(self, chat_id: ChatId, why: Halt) -> None:
        """Nothing is written into the group any more."""
        self._set(chat_key(self._db, chat_id), "halted = ?", why.value)

    def set_leaving(self, chat_id: ChatId, *, leaving: bool) -> None:
        """The person has left; or the server has taken it."""
        self._set(chat_key(self._db, chat_id), "leaving = ?", leaving)

    def add_fork(self, chat_id: ChatId, first: bytes, second: bytes, at_ms: int) -> None:
        """Keep two signed events for one place as evidence."""
        sql = "INSERT INTO forks(chat, first, second, at_ms) VALUES(?, ?, ?, ?)"
        self._db.execute(sql, chat_key(self._db, chat_id), first, second, at_ms)

    def forks(self, chat_id: ChatId) -> tuple[tuple[bytes, bytes], ...]:
        """Evidence: pairs of encoded Signed events, both valid after the same state."""
        sql = "SELECT first, second FROM forks WHERE chat = ? ORDER BY id"
        return tuple((first, second) for first, second in self._db.all(sql, chat_key(self._db, chat_id)))

    # --- profile keys ---

    def add_key(self, chat_id: ChatId, key: Secret, *, own: bool = False) -> bool:
        """Keep a profile key as the newest one; whether it is new. `own`: this device is to give it to others."""
        chat = chat_key(self._db, chat_id)
        newest = self._db.value("SELECT max(position) FROM group_keys WHERE chat = ?", chat) or 0
        sql = "INSERT OR IGNORE INTO group_keys(chat, key, position, own) VALUES(?, ?, ?, ?)"
        is_new = self._db.changed(sql, chat, key.reveal(), newest + 1, own) > 0
        self._db.execute("DELETE FROM group_keys WHERE chat = ? AND position <= ?", chat, newest + 1 - MAX_KEYS)
        return is_new

    def use_key(self, chat_id: ChatId, key: Secret) -> None:
        """The key opens the profile in force: it is what is given on, the others are not."""
        chat = chat_key(self._db, chat_id)
        self._db.execute("UPDATE group_keys SET own = (key = ?) WHERE chat = ?", key.reveal(), chat)

    def key(self, chat_id: ChatId) -> Secret | None:
        """The profile key that is given to whoever gets a sender key."""
        sql = "SELECT key FROM group_keys WHERE chat = ? AND own ORDER BY position DESC LIMIT 1"
        value = self._db.value(sql, chat_key(self._db, chat_id))
        return None if value is None else Secret(value)

    def keys(self, chat_id: ChatId) -> tuple[Secret, ...]:
        """Profile keys that were given to this device, newest first."""
        sql = "SELECT key FROM group_keys WHERE chat = ? ORDER BY position DESC"
        return tuple(Secret(key) for (key,) in self._db.all(sql, chat_key(self._db, chat_id)))

    # --- sender keys that came before their group ---

    def put_early(self, chat_id: ChatId, carrier: tuple[Uid, Did], content: bytes, at_ms: int) -> None:
        """Keep a room key until its group is known; the oldest ones give way."""
        self._db.execute(
            "INSERT INTO early_keys(chat_id, uid, did, content, at_ms) VALUES(?, ?, ?, ?, ?)",
            chat_id,
            *carrier,
            content,
            at_ms,
        )
        self._db.execute(
            "DELETE FROM early_keys WHERE id <= (SELECT max(id) FROM early_keys) - ? OR at_ms < ?",
            MAX_EARLY,
            at_ms - EARLY_MS,
        )

    def take_early(self, chat_id: ChatId) -> tuple[tuple[tuple[Uid, Did], bytes], ...]:
        """What was kept for a group: (device that brought it, room key); it is not kept any longer."""
        rows = self._db.all("SELECT uid, did, content FROM early_keys WHERE chat_id = ? ORDER BY id", chat_id)
        self._db.execute("DELETE FROM early_keys WHERE chat_id = ?", chat_id)
        return tuple(((Uid(uid), Did(did)), content) for uid, did, content in rows)

    # --- receipts ---

    def set_read(self, chat_id: ChatId, uid: Uid, seq: int) -> bool:
        """A member says to have read up to a row; whether that is news."""
        sql = "UPDATE group_members SET read_seq = ? WHERE chat = ? AND uid = ? AND read_seq < ?"
        return self._db.changed(sql, seq, chat_key(self._db, chat_id), uid, seq) > 0

    def read_by_all(self, chat_id: ChatId, but: Uid) -> int:
        """Up to which row every other member says to have read; 0 when there is no other."""
        sql = "SELECT min(read_seq) FROM group_members WHERE chat = ? AND uid <> ?"
        return self._db.value(sql, chat_key(self._db, chat_id), but) or 0

    def authors(self, chat_id: ChatId, after: int, upto: int) -> tuple[Uid, ...]:
        """Who of the others wrote the rows after+1 .. upto."""
        sql = (
            "SELECT DISTINCT sender FROM messages WHERE chat = ? AND NOT outgoing AND counted "
            "AND ord > ((? << 16) | 65535) AND ord <= ((? << 16) | 65535)"
        )
        rows = self._db.all(sql, chat_key(self._db, chat_id), after, upto)
        return tuple(Uid(uid) for (uid,) in rows)

    def _set(self, key: int, assignments: str, *params: object) -> None:
        if self._db.changed(f"UPDATE groups SET {assignments} WHERE chat = ?", *params, key) == 0:
            raise StoreMisuseError("not a group")


def _group(row: Row) -> Group:
    chat_id, role, name, description, ver, halted, leaving, supersedes, superseded_by, joined, skipped = row
    return Group(
        chat_id=ChatId(chat_id),
        role=role,
        name=name,
        description=description,
        profile_ver=ver,
        halted=Halt(halted),
        leaving=bool(leaving),
        supersedes=None if supersedes is None else ChatId(supersedes),
        superseded_by=None if superseded_by is None else ChatId(superseded_by),
        joined_seq=joined,
        skipped_from=skipped,
    )
