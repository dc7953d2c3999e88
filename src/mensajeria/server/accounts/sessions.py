"""Who is calling: from an access token to a login, with everything that could have ended it in between."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Sequence
from functools import partial
from typing import Final

import msgspec
from msgspec.structs import replace
from sqlalchemy import select

from mensajeria.kit.clock import Clock
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.server.accounts.tokens import AccessClaims, AccessTokens, ChannelKeySealer
from mensajeria.server.db.engine import Database
from mensajeria.server.db.gathered import GatheredRead
from mensajeria.server.db.schema import ACTIVE, PENDING, account, device

CACHE_SECONDS: Final = 10
"""How long a change by another process (an operator's command) may go unnoticed. Changes by this one count at once."""
CACHE_ENTRIES: Final = 10_000
MAX_READ: Final = 500
"""Logins in one query."""
CROWD_PAUSE_S: Final = 0.005


class Login(msgspec.Struct, frozen=True):
    """A proven caller. `ck`: channel key. `gen`: highest count of persisted encryptions that the device has shown."""

    account_id: int
    uid: bytes
    device_id: int
    did: bytes
    ck: Secret
    gen: int


class _Cached(msgspec.Struct, frozen=True):
    login: Login
    key_id: bytes
    until: float


class Authenticator:
    """The one door for access tokens, on `/ws` and REST."""

    def __init__(self, db: Database, tokens: AccessTokens, sealer: ChannelKeySealer, clock: Clock) -> None:
        self._rows: GatheredRead[bytes, _Device] = GatheredRead(
            partial(_read, db), MAX_READ, crowd_pause_s=CROWD_PAUSE_S
        )
        self._tokens = tokens
        self._sealer = sealer
        self._clock = clock
        self._cache: OrderedDict[bytes, _Cached] = OrderedDict()
        self._changes = 0

    async def authenticate(self, token: str, did: bytes | None = None) -> Login:
        """The login behind an access token; `did`, when given, must be the token's device.

        Raises:
            ProtocolError: UNAUTHORIZED, TOKEN_EXPIRED, LOGIN_REVOKED or ACCOUNT_SUSPENDED.
        """
        claims = self._tokens.check(token)
        if did is not None and did != claims.did:
            raise ProtocolError(Code.UNAUTHORIZED)
        cached = self._cache.get(claims.did)
        if cached and cached.until > self._clock.monotonic() and cached.key_id == claims.key_id:
            return cached.login
        changes = self._changes
        login, key_id = self._judge(await self._rows.get(claims.did))
        if login.uid != claims.uid:
            raise ProtocolError(Code.UNAUTHORIZED)
        if key_id != claims.key_id:
            raise ProtocolError(Code.LOGIN_REVOKED)
        if changes == self._changes:  # else what was read may be older than what was just changed
            self._remember(claims, login)
        return login

    async def authenticate_fresh(self, token: str, did: bytes) -> Login:
        """As `authenticate`, never from the cache: for a connection, whose `gen` must be the stored one."""
        self._cache.pop(did, None)
        return await self.authenticate(token, did)

    def forget(self, did: bytes) -> None:
        """The device's login or state has changed: read it again."""
        self._changes += 1
        self._cache.pop(did, None)

    def forget_devices(self, device_ids: Collection[int]) -> None:
        """As `forget`, by the devices' row ids."""
        for did in [did for did, cached in self._cache.items() if cached.login.device_id in device_ids]:
            del self._cache[did]
        self._changes += 1

    def forget_all(self) -> None:
        """Any login may have ended."""
        self._cache.clear()
        self._changes += 1

    def note_gen(self, did: bytes, gen: int) -> None:
        """The device has shown a higher `gen`, already stored."""
        if cached := self._cache.get(did):
            self._cache[did] = replace(cached, login=replace(cached.login, gen=gen))

    async def by_device(self, did: bytes) -> Login:
        """The login of a device that has no valid access token any more: the caller must prove the channel key.

        Raises:
            ProtocolError: UNAUTHORIZED, LOGIN_REVOKED or ACCOUNT_SUSPENDED.
        """
        return self._judge(await self._rows.get(did))[0]

    def _judge(self, row: _Device | None) -> tuple[Login, bytes]:
        if row is None:
            raise ProtocolError(Code.UNAUTHORIZED)
        if row.status == PENDING:
            raise ProtocolError(Code.ACCOUNT_PENDING)
        if row.status != ACTIVE:
            raise ProtocolError(Code.ACCOUNT_SUSPENDED)
        if row.revoked_ms is not None or row.ck_sealed is None or row.ck_id is None:
            raise ProtocolError(Code.LOGIN_REVOKED)
        ck = self._sealer.unseal("ck", row.did, row.ck_sealed)
        return Login(row.account_id, row.uid, row.id, row.did, ck, row.gen), row.ck_id

    def _remember(self, claims: AccessClaims, login: Login) -> None:
        self._cache[claims.did] = _Cached(login, claims.key_id, self._clock.monotonic() + CACHE_SECONDS)
        self._cache.move_to_end(claims.did)
        if len(self._cache) > CACHE_ENTRIES:
            self._cache.popitem(last=False)


class _Device(msgspec.Struct, frozen=True, gc=False):
    """A device with what its login is judged by."""

    id: int
    did: bytes
    account_id: int
    revoked_ms: int | None
    ck_sealed: bytes | None
    ck_id: bytes | None
    gen: int
    uid: bytes
    status: str


_COLUMNS: Final = (
    *(device.c.id, device.c.did, device.c.account_id, device.c.revoked_ms, device.c.ck_sealed, device.c.ck_id),
    *(device.c.gen, account.c.uid, account.c.status),
)
_POSTGRES: Final = """SELECT device.id, device.did, device.account_id, device.revoked_ms, device.ck_sealed,
  device.ck_id, device.gen, account.uid, account.status
FROM device JOIN account ON account.id = device.account_id WHERE device.did = ANY($1::bytea[])"""
"""`_COLUMNS`, too."""


async def _read(db: Database, dids: Sequence[bytes]) -> dict[bytes, _Device]:
    if db.is_sqlite:
        query = select(*_COLUMNS).join(account, account.c.id == device.c.account_id).where(device.c.did.in_(dids))
        rows = await db.query(lambda connection: connection.execute(query).all())
    else:
        rows = await db.look_up(_POSTGRES, dids)
    return {row[1]: _Device(*row) for row in rows}
