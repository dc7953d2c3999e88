"""Login: a password proof, then a device that takes this very login as itself. Adding a device stands in between."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from dataclasses import dataclass

from opaque_snake import ServerLoginState
from sqlalchemy import Connection, select, update
from sqlalchemy.exc import IntegrityError

from mensajeria.kit.clock import Clock
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.auth import SUITE_PASSWORD, DeviceAdd, DeviceLoginMessage, LoggedIn, LoginOk, LoginStart
from mensajeria.protocol.channel import channel_key, login_transcript
from mensajeria.protocol.encoding import MalformedError
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.protocol.prekeys import SigningKey, verify_device_login
from mensajeria.protocol.signing import BadSignatureError
from mensajeria.server.accounts.opaque import PasswordVerifier
from mensajeria.server.accounts.refresh import start_family
from mensajeria.server.accounts.sessions import Authenticator
from mensajeria.server.accounts.tokens import AccessTokens, ChannelKeySealer, channel_key_id
from mensajeria.server.db.engine import AnyRow, Database
from mensajeria.server.db.schema import ACTIVE, PENDING, account, device
from mensajeria.server.devices.audience import contacts_of
from mensajeria.server.devices.lists import NewDevice, check_added, insert_device, newest_list, swap_list
from mensajeria.server.facts import Facts
from mensajeria.server.keys.prekeys import check_prekeys
from mensajeria.server.push import Push
from mensajeria.server.ratelimit.limiter import Limiter
from mensajeria.server.ratelimit.limits import Limit

KNOWN_BYTES = 32


@dataclass(frozen=True, slots=True)
class PendingLogin:
    """After KE2: waits for KE3, which is taken once. `account_id` is None for a handle that nobody has."""

    ke1: bytes
    ke2: bytes
    state: ServerLoginState
    account_id: int | None
    record_hash: bytes


@dataclass(frozen=True, slots=True)
class ProvenLogin:
    """The password is proven; no device has taken the login yet."""

    account_id: int
    uid: bytes
    ck: Secret
    transcript: bytes
    record_hash: bytes
    """Of the OPAQUE record that it was proven with: after a change of the password the proof is worth nothing."""


class LoginService:
    """The service behind the `login` and `device` messages."""

    def __init__(
        self,
        *,
        clock: Clock,
        db: Database,
        facts: Facts,
        limiter: Limiter,
        opaque: PasswordVerifier,
        tokens: AccessTokens,
        sealer: ChannelKeySealer,
        authenticator: Authenticator,
        hub: Push,
    ) -> None:
        self._clock = clock
        self._db = db
        self._facts = facts
        self._limiter = limiter
        self._opaque = opaque
        self._tokens = tokens
        self._sealer = sealer
        self._authenticator = authenticator
        self._hub = hub

    async def start(self, message: LoginStart, network: str | None) -> PendingLogin:
        """Answer KE1, the same way whether or not the handle exists.

        Raises:
            ProtocolError: RATE_LIMITED, NEWER_VERSION (unknown suite) or MALFORMED.
        """
        if message.suite != SUITE_PASSWORD:
            raise ProtocolError(Code.NEWER_VERSION, "password suite")
        known = hashlib.sha256(message.known).digest()
        row, is_known = await self._db.query(lambda connection: _credentials(connection, message.handle, known))
        await self._limit(message, network, known if is_known else None)
        record = self._facts.decoy_record if row is None else row.opaque_record
        ke2, state = self._opaque.challenge(message.ke1, message.handle, record)
        account_id = None if row is None else row.id
        return PendingLogin(message.ke1, ke2, state, account_id, hashlib.sha256(record).digest())

    async def _limit(self, message: LoginStart, network: str | None, known: bytes | None) -> None:
        """A wrong guess never sends KE3, so KE1 is what counts. A device that logged in before cannot be locked out."""
        if known is not None:
            await self._limiter.check(Limit.LOGIN_KNOWN_DEVICE, known)
            return
        if network is not None:
            await self._limiter.check(Limit.LOGIN_NETWORK, network)
            await self._limiter.check(Limit.LOGIN_HANDLE_NETWORK, f"{message.handle}|{network}")
        await self._limiter.check(Limit.LOGIN_HANDLE, message.handle)

    async def finish(self, pending: PendingLogin | None, ke3: bytes) -> tuple[ProvenLogin, LoginOk]:
        """Check KE3.

        Raises:
            ProtocolError: BAD_CREDENTIALS; ACCOUNT_SUSPENDED and ACCOUNT_PENDING only to who knows the password.
        """
        if pending is None:
            raise ProtocolError(Code.BAD_CREDENTIALS)
        session_key = await self._opaque.finish(ke3, pending.state)
        account_id = pending.account_id
        if account_id is None:
            raise ProtocolError(Code.BAD_CREDENTIALS)
        row, newest = await self._db.query(
            lambda c: (_account(c, account_id, pending.record_hash), newest_list(c, account_id))
        )
        transcript = login_transcript(pending.ke1, pending.ke2, ke3)
        proven = ProvenLogin(account_id, row.uid, channel_key(session_key), transcript, pending.record_hash)
        return proven, LoginOk(row.uid, row.root_ver, row.wrap_password, row.wrap_recovery, row.identity, newest)

    async def add_device(self, proven: ProvenLogin, message: DeviceAdd) -> int:
        """Store the next list with the new device; the list's version when it is committed.

        Raises:
            ProtocolError: LIST_CONFLICT, LIST_INVALID, TOO_MANY_DEVICES, MALFORMED or RATE_LIMITED.
        """
        await self._limiter.check(Limit.LIST_ACCOUNT, proven.uid)
        account_id, now_ms = proven.account_id, self._clock.now_ms()
        row, newest = await self._db.query(lambda c: (proven_account(c, proven), newest_list(c, account_id)))
        verified = await asyncio.to_thread(check_added, newest.body, message.device_list, row.identity, message.did)
        listed = verified.find(message.did)
        assert listed is not None
        prekeys = check_prekeys(message.prekeys, uid=proven.uid, signer=listed, now_ms=now_ms, complete=True)

        def store(connection: Connection) -> list[int]:
            sig = message.device_list.sig
            proven_account(connection, proven, lock=True)
            swap_list(connection, account_id, row.identity, verified, sig, now_ms)
            insert_device(connection, account_id, NewDevice(listed, message.device_name, prekeys), now_ms)
            return contacts_of(connection, account_id)

        try:
            audience = await self._db.write(store)
        except IntegrityError as error:
            raise ProtocolError(Code.LIST_INVALID, "a device id or key is already in use") from error
        await self._hub.notify_list_changed(audience, proven.uid, verified.ver)
        return verified.ver

    async def take(self, proven: ProvenLogin, message: DeviceLoginMessage) -> LoggedIn:
        """A listed device takes the login: new channel key, new tokens; its earlier login is over.

        Raises:
            ProtocolError: UNKNOWN_DEVICE, UNAUTHORIZED (the signature), ROLLED_BACK or ACCOUNT_SUSPENDED.
        """
        known = secrets.token_bytes(KNOWN_BYTES)
        earlier, refresh_token = await self._db.write(lambda c: self._take(c, proven, message, known))
        self._authenticator.forget(message.did)
        if earlier:
            await self._hub.end_login(earlier, Code.LOGIN_REVOKED)
        key_id = channel_key_id(proven.ck)
        token, expires_ms = self._tokens.issue(uid=proven.uid, did=message.did, key_id=key_id)
        return LoggedIn(token, expires_ms, refresh_token.reveal(), known)

    def _take(
        self, connection: Connection, proven: ProvenLogin, message: DeviceLoginMessage, known: bytes
    ) -> tuple[list[int], Secret]:
        """The device, if this ends a login of it, and the refresh token."""
        now_ms = self._clock.now_ms()
        row = self._lock_device(connection, proven, message)
        if message.gen < row.gen:
            raise ProtocolError(Code.ROLLED_BACK)
        values = {
            "ck_sealed": self._sealer.seal("ck", row.did, proven.ck),
            "ck_id": channel_key_id(proven.ck),
            "rest_counter": 0,  # counts requests under this channel key
            "gen": message.gen,
            "known_hash": hashlib.sha256(known).digest(),
            "last_seen_ms": now_ms,
        }
        connection.execute(update(device).where(device.c.id == row.id).values(values))
        return [] if row.ck_id is None else [row.id], start_family(connection, row.id, now_ms)

    def _lock_device(self, connection: Connection, proven: ProvenLogin, message: DeviceLoginMessage) -> AnyRow:
        proven_account(connection, proven, lock=True)  # a change of the password comes before or after, not meanwhile
        query = select(device.c.id, device.c.did, device.c.ed25519, device.c.gen, device.c.ck_id).where(
            device.c.did == message.did, device.c.account_id == proven.account_id, device.c.revoked_ms.is_(None)
        )
        row = connection.execute(query.with_for_update()).one_or_none()
        if row is None:
            raise ProtocolError(Code.UNKNOWN_DEVICE)
        signer = SigningKey(row.did, row.ed25519)
        try:
            verify_device_login(
                message.signed,
                server_id=self._facts.server_id,
                uid=proven.uid,
                device=signer,
                transcript=proven.transcript,
            )
        except (BadSignatureError, MalformedError) as error:
            raise ProtocolError(Code.UNAUTHORIZED, "the device's signature") from error
        return row


def _credentials(connection: Connection, handle: str, known: bytes) -> tuple[AnyRow | None, bool]:
    """The record of a handle, and whether the token is of one of its devices: the same two queries for any handle."""
    query = select(account.c.id, account.c.opaque_record).where(account.c.handle == handle)
    row = connection.execute(query).one_or_none()
    is_known = select(device.c.id).where(
        device.c.account_id == (-1 if row is None else row.id),
        device.c.known_hash == known,
        device.c.revoked_ms.is_(None),
    )
    return row, connection.execute(is_known).first() is not None


def proven_account(connection: Connection, proven: ProvenLogin, *, lock: bool = False) -> AnyRow:
    """The account of a login, if its password is still the one that was proven. `lock`: keep it so until the commit.

    Raises:
        ProtocolError: BAD_CREDENTIALS, ACCOUNT_SUSPENDED or ACCOUNT_PENDING.
    """
    return _account(connection, proven.account_id, proven.record_hash, lock=lock)


def _account(connection: Connection, account_id: int, record_hash: bytes, *, lock: bool = False) -> AnyRow:
    query = select(account).where(account.c.id == account_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None or hashlib.sha256(row.opaque_record).digest() != record_hash:
        raise ProtocolError(Code.BAD_CREDENTIALS)
    require_active(row)
    return row


def require_active(row: AnyRow) -> None:
    """Raises ProtocolError ACCOUNT_SUSPENDED or ACCOUNT_PENDING."""
    if row.status == PENDING:
        raise ProtocolError(Code.ACCOUNT_PENDING)
    if row.status != ACTIVE:
        raise ProtocolError(Code.ACCOUNT_SUSPENDED)
