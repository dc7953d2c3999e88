"""Refresh tokens: 32 random bytes, rotated at each use. A family is one login of one device.

The database keeps hashes. A token that comes back after it was replaced means that two parties hold the family: it
ends, for both. Except within 15 seconds, when the answer may just have been lost: whoever proves the channel key gets
the same successor again.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

from sqlalchemy import Connection, delete, insert, select, update

from mensajeria.kit.clock import Clock
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import limits
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.server.accounts.sessions import Authenticator, Login
from mensajeria.server.accounts.tokens import AccessTokens, ChannelKeySealer, channel_key_id
from mensajeria.server.admin.audit import Act, record
from mensajeria.server.db.engine import AnyRow, Database
from mensajeria.server.db.schema import device, refresh_family
from mensajeria.server.push import Push

TOKEN_BYTES: Final = 32
_RETRY_MS: Final = limits.REFRESH_RETRY_S * 1000
_LIFE_MS: Final = limits.REFRESH_TOKEN_S * 1000


def _hash(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


def start_family(connection: Connection, device_id: int, now_ms: int) -> Secret:
    """A new login of a device: an earlier family of it ends. Returns the refresh token."""
    _end_family(connection, device_id)
    token = Secret(secrets.token_bytes(TOKEN_BYTES))
    row = insert(refresh_family).values(
        device_id=device_id,
        token_hash=_hash(token.reveal()),
        rotated_ms=now_ms,
        created_ms=now_ms,
        expires_ms=now_ms + _LIFE_MS,
    )
    connection.execute(row)
    return token


def _end_family(connection: Connection, device_id: int) -> None:
    """Nothing is asked of one that has ended, nor kept of it: when somebody came and went is nobody's business."""
    connection.execute(delete(refresh_family).where(refresh_family.c.device_id == device_id))


def end_login(connection: Connection, device_id: int) -> None:
    """End the device's login: its family, its channel key (and with it every access token), its `known` token."""
    _end_family(connection, device_id)
    gone = {"ck_sealed": None, "ck_id": None, "known_hash": None}
    connection.execute(update(device).where(device.c.id == device_id).values(gone))


class RefreshService:
    """`POST /v1/auth/refresh` and `/v1/auth/logout`, for a caller that has proven the device's channel key."""

    def __init__(
        self,
        *,
        clock: Clock,
        db: Database,
        tokens: AccessTokens,
        sealer: ChannelKeySealer,
        authenticator: Authenticator,
        hub: Push,
    ) -> None:
        self._clock = clock
        self._db = db
        self._tokens = tokens
        self._sealer = sealer
        self._authenticator = authenticator
        self._hub = hub

    async def refresh(self, login: Login, token: bytes) -> tuple[str, int, Secret]:
        """A new access token, when it expires (ms), and the next refresh token.

        Raises:
            ProtocolError: LOGIN_REVOKED: the login has expired, was ended, or has just ended because of this token.
        """
        successor = await self._db.write(lambda connection: self._rotate(connection, login, token))
        if successor is None:  # raised only now: what ends a login must be committed
            await self._tell_ended(login)
            raise ProtocolError(Code.LOGIN_REVOKED)
        key_id = channel_key_id(login.ck)
        access, expires_ms = self._tokens.issue(uid=login.uid, did=login.did, key_id=key_id)
        return access, expires_ms, successor

    async def logout(self, login: Login) -> None:
        """End this login."""
        await self._db.write(lambda connection: end_login(connection, login.device_id))
        await self._tell_ended(login)

    async def logout_everywhere(self, login: Login) -> None:
        """End the logins of all devices of the account, this one included."""
        now_ms = self._clock.now_ms()

        def end(connection: Connection) -> list[int]:
            actor = login.uid.hex()
            record(connection, Act.LOGGED_OUT_EVERYWHERE, actor=actor, target=actor, now_ms=now_ms)
            query = select(device.c.id).where(device.c.account_id == login.account_id, device.c.revoked_ms.is_(None))
            devices = list(connection.execute(query.order_by(device.c.id)).scalars())
            for device_id in devices:
                end_login(connection, device_id)
            return devices

        ended = await self._db.write(end)
        self._authenticator.forget_devices(ended)
        await self._hub.end_login(ended, Code.LOGIN_REVOKED)

    async def _tell_ended(self, login: Login) -> None:
        self._authenticator.forget(login.did)
        await self._hub.end_login([login.device_id], Code.LOGIN_REVOKED)

    def _rotate(self, connection: Connection, login: Login, token: bytes) -> Secret | None:
        now_ms = self._clock.now_ms()
        _require_current(connection, login)
        query = select(refresh_family).where(refresh_family.c.device_id == login.device_id)
        family = connection.execute(query).one_or_none()
        if family is not None and family.expires_ms > now_ms:
            if family.token_hash == _hash(token):
                return self._advance(connection, family, token, now_ms)
            if family.previous_hash == _hash(token) and abs(now_ms - family.rotated_ms) <= _RETRY_MS:
                return self._sealer.unseal("refresh", _hash(token), family.successor)
        end_login(connection, login.device_id)
        return None

    def _advance(self, connection: Connection, family: AnyRow, token: bytes, now_ms: int) -> Secret:
        successor = Secret(secrets.token_bytes(TOKEN_BYTES))
        values = {
            "token_hash": _hash(successor.reveal()),
            "previous_hash": _hash(token),
            "rotated_ms": now_ms,
            "successor": self._sealer.seal("refresh", _hash(token), successor),
            "expires_ms": now_ms + _LIFE_MS,
        }
        connection.execute(update(refresh_family).where(refresh_family.c.id == family.id).values(values))
        return successor


def _require_current(connection: Connection, login: Login) -> None:
    """Lock the device, so that a second refresh at the same moment waits, and then sees what the first did.

    A request under the key of an earlier login must not end the one that has followed it meanwhile.

    Raises:
        ProtocolError: LOGIN_REVOKED.
    """
    query = select(device.c.ck_id).where(device.c.id == login.device_id).with_for_update(key_share=True)
    if connection.execute(query).scalar_one_or_none() != channel_key_id(login.ck):
        raise ProtocolError(Code.LOGIN_REVOKED)
