"""What people tell about themselves: which profile is each one's newest, what it said, and who knows the own one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from mensajeria.client.api import UserProfile
from mensajeria.client.store.db import Db, Row
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.ids import Did, Uid

_COLUMNS: Final = "uid, ver, key, hash, at_ms, refused, accused, shown_ver, name, status, picture"


@dataclass(frozen=True, slots=True)
class ProfileRow:
    """A person's newest profile, as one of their devices has named it, and the one that is shown."""

    uid: Uid
    ver: int
    key: Secret
    hash: bytes
    at_ms: int
    """When this device learned of it."""
    refused: bool
    """What is served under this version is not shown."""
    accused: bool
    """It was told that the server serves something else; not told again before a version is as it was named."""
    shown_ver: int
    """The version that `shown` is from; 0 = none yet."""
    shown: UserProfile

    @property
    def is_wanted(self) -> bool:
        """Whether it is to be fetched."""
        return self.ver > self.shown_ver and not self.refused


@dataclass(frozen=True, slots=True)
class ProfileWish:
    """What the person wants changed in the own profile; None = as it is. `number` grows with every further wish.

    Nothing changed at all: the same once more, as a new version under a new key.
    """

    number: int = 0
    name: str | None = None
    status: str | None = None
    picture: bytes | None = field(default=None, repr=False)


class Profiles:
    """`tx.profiles`. Whoever calls has verified what is put in."""

    __slots__ = ("_db",)

    def __init__(self, db: Db) -> None:
        self._db = db

    # --- everybody's ---

    def get(self, uid: Uid) -> ProfileRow | None:
        """What is known of somebody's profile."""
        row = self._db.one(f"SELECT {_COLUMNS} FROM user_profiles WHERE uid = ?", uid)
        return None if row is None else _row(row)

    def wanted(self) -> tuple[ProfileRow, ...]:
        """Profiles that were named and are not here; of strangers, too."""
        rows = self._db.all(f"SELECT {_COLUMNS} FROM user_profiles WHERE ver > shown_ver AND NOT refused ORDER BY uid")
        return tuple(map(_row, rows))

    def shown(self) -> dict[Uid, UserProfile]:
        """Every profile that was opened."""
        rows = self._db.all(f"SELECT {_COLUMNS} FROM user_profiles WHERE shown_ver > 0")
        return {row.uid: row.shown for row in map(_row, rows)}

    def learn(self, uid: Uid, ver: int, key: Secret, named: bytes, at_ms: int) -> bool:
        """One of the person's devices has named this version; whether it is newer than the known one."""
        sql = (
            "INSERT INTO user_profiles(uid, ver, key, hash, at_ms) VALUES(?, ?, ?, ?, ?) ON CONFLICT(uid) DO UPDATE "
            "SET ver = excluded.ver, key = excluded.key, hash = excluded.hash, at_ms = excluded.at_ms, refused = 0 "
            "WHERE excluded.ver > ver"
        )
        return self._db.changed(sql, uid, ver, key.reveal(), named, at_ms) > 0

    def show(self, uid: Uid, ver: int, profile: UserProfile, sealed: bytes | None = None) -> None:
        """This is what the version says. `sealed`: kept of the own one, which a restored server gets back."""
        self._db.execute(
            "UPDATE user_profiles SET shown_ver = ?, name = ?, status = ?, picture = ?, sealed = ?, accused = 0 "
            "WHERE uid = ?",
            ver, profile.name, profile.status, profile.picture, sealed, uid,
        )  # fmt: skip

    def refuse(self, uid: Uid, *, accused: bool) -> None:
        """Not asked for again before another version is named. `accused`: it is not the one that was named."""
        self._db.execute("UPDATE user_profiles SET refused = 1, accused = max(accused, ?) WHERE uid = ?", accused, uid)

    def sealed(self, uid: Uid) -> tuple[int, bytes] | None:
        """Version and bytes of the own profile as the server has, or had, them."""
        row = self._db.one("SELECT shown_ver, sealed FROM user_profiles WHERE uid = ? AND sealed IS NOT NULL", uid)
        return None if row is None else (row[0], row[1])

    # --- the own one ---

    def wish(self, wish: ProfileWish) -> None:
        """Want this, too; what an earlier wish said of the same field is replaced."""
        known = self.wished() or ProfileWish()
        self._db.execute(
            "INSERT OR REPLACE INTO profile_wish(id, number, name, status, picture) VALUES(0, ?, ?, ?, ?)",
            known.number + 1,
            known.name if wish.name is None else wish.name,
            known.status if wish.status is None else wish.status,
            known.picture if wish.picture is None else wish.picture,
        )

    def wished(self) -> ProfileWish | None:
        """What is not published yet."""
        row = self._db.one("SELECT number, name, status, picture FROM profile_wish")
        return None if row is None else ProfileWish(*row)

    def granted(self, number: int) -> None:
        """The wish is published, unless there was a further one meanwhile."""
        self._db.execute("DELETE FROM profile_wish WHERE number = ?", number)

    def told(self, did: Did) -> int:
        """Which version of the own profile this device has told another one's device; 0 = none."""
        return self._db.value("SELECT ver FROM profile_told WHERE did = ?", did) or 0

    def note_told(self, did: Did, ver: int) -> None:
        """The letter is sealed."""
        self._db.execute("INSERT OR REPLACE INTO profile_told(did, ver) VALUES(?, ?)", did, ver)

    def forget_told(self, did: Did) -> None:
        """The server did not take the letter."""
        self._db.execute("DELETE FROM profile_told WHERE did = ?", did)


def _row(row: Row) -> ProfileRow:
    uid, ver, key, named, at_ms, refused, accused, shown_ver, name, status, picture = row
    shown = UserProfile(name, status, picture)
    return ProfileRow(Uid(uid), ver, Secret(key), named, at_ms, bool(refused), bool(accused), shown_ver, shown)
