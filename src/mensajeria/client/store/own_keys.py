"""What makes this device itself: its keys, the login's tokens and channel key, and counters."""

from __future__ import annotations

from mensajeria.client.store.db import Db
from mensajeria.client.store.meta import Meta
from mensajeria.client.store.values import Tokens
from mensajeria.kit.secrets import Secret


class OwnKeys:
    """`tx.own`."""

    __slots__ = ("_db", "_meta")

    def __init__(self, db: Db) -> None:
        self._db = db
        self._meta = Meta(db)

    def get(self, name: str) -> Secret | None:
        """A named secret, e.g. a backup key."""
        value: bytes | None = self._db.value("SELECT value FROM own_keys WHERE name = ?", name)
        return None if value is None else Secret(value)

    def names(self, prefix: str) -> tuple[str, ...]:
        """Names of secrets that begin so."""
        sql = "SELECT name FROM own_keys WHERE substr(name, 1, ?) = ? ORDER BY rowid"
        return tuple(name for (name,) in self._db.all(sql, len(prefix), prefix))

    def put(self, name: str, value: Secret) -> None:
        """Store a named secret."""
        self._db.execute("INSERT OR REPLACE INTO own_keys VALUES(?, ?)", name, value.reveal())

    def remove(self, name: str) -> None:
        """Forget a named secret."""
        self._db.execute("DELETE FROM own_keys WHERE name = ?", name)

    def device(self) -> Secret | None:
        """The serialised device keys (account, one-time, fallback and hybrid prekeys)."""
        return self.get("device")

    def put_device(self, state: Secret) -> None:
        """Store the device keys; in the same transaction as whatever they were changed for."""
        self.put("device", state)

    def channel_key(self) -> Secret | None:
        """CK of the last login."""
        return self.get("channel_key")

    def put_login(self, tokens: Tokens, channel_key: Secret) -> None:
        """Store what a login gave."""
        self.put("channel_key", channel_key)
        self.put_tokens(tokens)

    def tokens(self) -> Tokens | None:
        """The tokens, None before the first login or after `clear_tokens`."""
        access, refresh, known = (self.get(f"token_{name}") for name in ("access", "refresh", "known"))
        if access is None or refresh is None or known is None:
            return None
        return Tokens(access, self._meta.number("access_expires_ms"), refresh, known)

    def put_tokens(self, tokens: Tokens) -> None:
        """Store refreshed tokens."""
        self.put("token_access", tokens.access)
        self.put("token_refresh", tokens.refresh)
        self.put("token_known", tokens.known)
        self._db.execute("INSERT OR REPLACE INTO meta VALUES('access_expires_ms', ?)", tokens.access_expires_ms)

    def known(self) -> Secret | None:
        """The token that gives this device its own rate bucket; outlives the login."""
        return self.get("token_known")

    def clear_tokens(self) -> None:
        """The login is over."""
        self.remove("token_access")
        self.remove("token_refresh")

    def gen(self) -> int:
        """How many encryptions were persisted."""
        return self._meta.number("gen")

    def count_gen(self, step: int = 1) -> int:
        """Count persisted encryptions, in the transaction that stores their ratchets; the new value."""
        return self._meta.count("gen", step)

    def next_rest_counter(self) -> int:
        """A number for the next REST request's MAC, never given twice; commit before it is used."""
        return self._meta.count("rest_counter")

    def reserve_rest_counters(self, count: int) -> int:
        """Reserve `count` numbers for REST MACs in one transaction; the first of them."""
        return self._meta.count("rest_counter", count) - count + 1
