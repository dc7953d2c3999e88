"""A new identity on an old account: by the old one's succession, or by a reset that the operator has allowed.

Either way it is one transaction: identity, password record, wraps and device list change together, and every former
device but the renewing one is cut off. Contacts follow a succession by themselves; a reset is shown to each of them.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from mensajeria.kit.clock import Clock
from mensajeria.kit.ids import random16
from mensajeria.protocol import limits
from mensajeria.protocol.approval import Action, renewal_digest
from mensajeria.protocol.auth import SUITE_PASSWORD
from mensajeria.protocol.auth_changes import IdentityRenew, ResetChallenge, ResetFinish, ResetStart
from mensajeria.protocol.devices import DeviceListError, ListConflictError, VerifiedList, check_next_list
from mensajeria.protocol.encoding import MalformedError
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.protocol.records import Signed
from mensajeria.protocol.succession import SuccessionError, verify_succession
from mensajeria.server.accounts.approvals import change_of, check_wrap, require_approval
from mensajeria.server.accounts.ended import EndedLogins
from mensajeria.server.accounts.ending import end_all_logins, revoke_device
from mensajeria.server.accounts.login import proven_account, require_active
from mensajeria.server.accounts.opaque import PasswordVerifier
from mensajeria.server.accounts.password import PasswordTicket
from mensajeria.server.admin.audit import Act, record
from mensajeria.server.backup.rows import drop_all
from mensajeria.server.db.engine import AnyRow, Database
from mensajeria.server.db.schema import account, device
from mensajeria.server.db.schema_access import identity_reset, succession
from mensajeria.server.devices.audience import contacts_of
from mensajeria.server.devices.lists import NewDevice, insert_device, newest_list, swap_list
from mensajeria.server.facts import Facts
from mensajeria.server.keys.prekeys import check_prekeys
from mensajeria.server.push import Push
from mensajeria.server.ratelimit.limiter import Limiter
from mensajeria.server.ratelimit.limits import Limit


@dataclass(frozen=True, slots=True)
class ResetTicket:
    """A reset under way, in one connection, good once."""

    ticket: bytes
    token: bytes
    account_id: int
    uid: bytes
    suite: int
    expires_ms: int


@dataclass(frozen=True, slots=True)
class _Following:
    """What takes the place of an account's identity. Verified, but for the wraps: those are checked under the lock."""

    verified: VerifiedList
    signature: bytes
    identity: bytes
    suite: int
    opaque_record: bytes
    wraps: tuple[bytes, bytes]


def allow_reset(connection: Connection, account_id: int, token: bytes, now_ms: int, expires_ms: int) -> None:
    """Let who has `token` give the account a new identity, once. An earlier token is worth nothing any more."""
    connection.execute(delete(identity_reset).where(identity_reset.c.account == account_id))
    values = {"token_hash": _hash(token), "created_ms": now_ms, "expires_ms": expires_ms}
    connection.execute(insert(identity_reset).values(account=account_id, **values))


class Identities:
    """The service behind the `identity_renew` and `reset` messages."""

    def __init__(
        self,
        *,
        clock: Clock,
        db: Database,
        facts: Facts,
        limiter: Limiter,
        opaque: PasswordVerifier,
        ends: EndedLogins,
        hub: Push,
    ) -> None:
        self._clock = clock
        self._db = db
        self._facts = facts
        self._limiter = limiter
        self._opaque = opaque
        self._ends = ends
        self._hub = hub

    # --- by the old identity ---

    async def renew(self, ticket: PasswordTicket | None, message: IdentityRenew) -> int:
        """Move the account to the identity that its old one has named; the list's version when it is committed.

        Raises:
            ProtocolError: TICKET_INVALID, MALFORMED, LIST_INVALID, LIST_CONFLICT, RATE_LIMITED, UNKNOWN_DEVICE,
                UNAUTHORIZED, APPROVAL_NEEDED, BAD_CREDENTIALS or ACCOUNT_SUSPENDED: nothing was changed.
        """
        if ticket is None or ticket.ticket != message.ticket or ticket.expires_ms <= self._clock.now_ms():
            raise ProtocolError(Code.TICKET_INVALID)
        proven = ticket.proven
        await self._limiter.check(Limit.LIST_ACCOUNT, proven.uid)
        row, newest = await self._db.query(lambda c: (proven_account(c, proven), newest_list(c, proven.account_id)))
        await asyncio.to_thread(_check_succession, message, row)
        following = await asyncio.to_thread(self._following, newest, message, ticket.suite)
        if set(_dids(following.verified)) != {message.approval.did}:
            raise ProtocolError(Code.LIST_INVALID, "the list must keep the asking device and no other")
        ended, audience = await self._db.write(lambda c: self._store_renewed(c, ticket, message, following))
        await self._tell(ended, audience, proven.uid, following.verified.ver)
        return following.verified.ver

    def _store_renewed(
        self, connection: Connection, ticket: PasswordTicket, message: IdentityRenew, following: _Following
    ) -> tuple[list[int], list[int]]:
        proven, now_ms = ticket.proven, self._clock.now_ms()
        row = proven_account(connection, proven, lock=True)
        digest = renewal_digest(message.ticket, message.upload, following.wraps, message.device_list)
        change = change_of(proven, Action.IDENTITY_RENEW, self._facts.server_id, digest)
        require_approval(connection, proven, change, message.approval, identity=row.identity, now_ms=now_ms)
        ended = end_all_logins(connection, row.id)
        audience = _replace(connection, row, following, now_ms)
        proof = {"account": row.id, "ver": following.verified.ver, "proof": message.succession}
        connection.execute(insert(succession).values(proof))
        record(connection, Act.IDENTITY_RENEWED, actor=row.uid.hex(), target=row.uid.hex(), now_ms=now_ms)
        return ended, audience

    # --- by the operator's leave ---

    async def start_reset(self, message: ResetStart, network: str | None) -> tuple[ResetTicket, ResetChallenge]:
        """What a new identity must continue, for who has the operator's token.

        Raises:
            ProtocolError: RESET_INVALID, NEWER_VERSION (unknown suite), RATE_LIMITED, MALFORMED or ACCOUNT_SUSPENDED.
        """
        if message.suite != SUITE_PASSWORD:
            raise ProtocolError(Code.NEWER_VERSION, "password suite")
        if network is not None:
            await self._limiter.check(Limit.RECOVERY_NETWORK, network)
        await self._limiter.check(Limit.RECOVERY_HANDLE, message.handle)
        now_ms = self._clock.now_ms()

        def read(connection: Connection) -> tuple[AnyRow, Signed]:
            # One query, whoever has the name: how long it takes must not tell whether anybody has.
            reset = identity_reset.c.token_hash, identity_reset.c.expires_ms
            query = select(account, *reset).join(identity_reset, identity_reset.c.account == account.c.id)
            row = connection.execute(query.where(account.c.handle == message.handle)).one_or_none()
            _require_token(row, message.token, now_ms)
            assert row is not None
            require_active(row)
            return row, newest_list(connection, row.id)

        row, newest = await self._db.query(read)
        response = self._opaque.registration_response(message.request, message.handle)
        expires = now_ms + limits.TICKET_S * 1000
        ticket = ResetTicket(random16(), message.token, row.id, row.uid, message.suite, expires)
        return ticket, ResetChallenge(ticket.ticket, row.uid, response, row.identity, newest, row.root_ver)

    async def finish_reset(self, ticket: ResetTicket | None, message: ResetFinish) -> int:
        """Give the account another identity with one new device; the list's version when it is committed.

        Raises:
            ProtocolError: TICKET_INVALID, RESET_INVALID (the token was used or ended meanwhile), LIST_INVALID,
                LIST_CONFLICT, MALFORMED or ACCOUNT_SUSPENDED: nothing was changed.
        """
        if ticket is None or ticket.ticket != message.ticket or ticket.expires_ms <= self._clock.now_ms():
            raise ProtocolError(Code.TICKET_INVALID)
        newest = await self._db.query(lambda connection: newest_list(connection, ticket.account_id))
        following = await asyncio.to_thread(self._following, newest, message, ticket.suite)
        listed = following.verified.list.devices
        if len(listed) != 1 or listed[0].from_ver != following.verified.ver:
            raise ProtocolError(Code.LIST_INVALID, "the list must name one new device and no other")
        now_ms = self._clock.now_ms()
        prekeys = check_prekeys(message.prekeys, uid=ticket.uid, signer=listed[0], now_ms=now_ms, complete=True)
        new = NewDevice(listed[0], message.device_name, prekeys)
        try:
            ended, audience = await self._db.write(lambda c: self._store_reset(c, ticket, following, new))
        except IntegrityError as error:
            raise ProtocolError(Code.LIST_INVALID, "a device id or key is already in use") from error
        await self._tell(ended, audience, ticket.uid, following.verified.ver)
        return following.verified.ver

    def _store_reset(
        self, connection: Connection, ticket: ResetTicket, following: _Following, new: NewDevice
    ) -> tuple[list[int], list[int]]:
        now_ms = self._clock.now_ms()
        query = select(account).where(account.c.id == ticket.account_id)
        row = connection.execute(query.with_for_update()).one_or_none()
        if row is None:  # deleted meanwhile
            raise ProtocolError(Code.TICKET_INVALID)
        require_active(row)
        reset = select(identity_reset).where(identity_reset.c.account == row.id)
        _require_token(connection.execute(reset).one_or_none(), ticket.token, now_ms)
        connection.execute(delete(identity_reset).where(identity_reset.c.account == row.id))
        ended = end_all_logins(connection, row.id)
        audience = _replace(connection, row, following, now_ms)
        insert_device(connection, row.id, new, now_ms)
        drop_all(connection, row.id)  # sealed under a root that nobody has any more
        record(connection, Act.IDENTITY_RESET, actor=row.uid.hex(), target=row.uid.hex(), now_ms=now_ms)
        return ended, audience

    # --- both ---

    def _following(self, newest: Signed, message: IdentityRenew | ResetFinish, suite: int) -> _Following:
        try:
            verified = check_next_list(newest.body, message.device_list, message.identity)
        except ListConflictError as error:
            raise ProtocolError(Code.LIST_CONFLICT) from error
        except (DeviceListError, MalformedError) as error:
            raise ProtocolError(Code.LIST_INVALID, str(error)) from error
        return _Following(
            verified=verified,
            signature=message.device_list.sig,
            identity=message.identity,
            suite=suite,
            opaque_record=self._opaque.record(message.upload),
            wraps=(message.wrap_password, message.wrap_recovery),
        )

    async def _tell(self, ended: list[int], audience: list[int], uid: bytes, ver: int) -> None:
        await self._ends.tell(ended)
        await self._hub.notify_list_changed(audience, uid, ver)


def successions_after(connection: Connection, uid: bytes, after: int, limit: int) -> list[bytes]:
    """Proofs of a user's successions since list version `after`, ascending."""
    query = (
        select(succession.c.proof)
        .join(account, account.c.id == succession.c.account)
        .where(account.c.uid == uid, succession.c.ver > after)
        .order_by(succession.c.ver)
        .limit(limit)
    )
    return list(connection.execute(query).scalars())


def _check_succession(message: IdentityRenew, row: AnyRow) -> None:
    try:
        proven = verify_succession(message.succession)
    except SuccessionError as error:
        raise ProtocolError(Code.LIST_INVALID, f"succession: {error}") from error
    if (proven.uid, proven.old_idfp, proven.new_record) != (row.uid, row.idfp, message.identity):
        raise ProtocolError(Code.LIST_INVALID, "the succession is not from this identity to that one")


def _replace(connection: Connection, row: AnyRow, following: _Following, now_ms: int) -> list[int]:
    """Identity, record, wraps and list; devices that are not listed any more are cut off. Whom it concerns."""
    verified = following.verified
    if verified.idfp == row.idfp:
        raise ProtocolError(Code.LIST_INVALID, "it is the identity that the account has")
    for wrap, method in zip(following.wraps, ("opaque", "recovery"), strict=True):
        check_wrap(wrap, uid=row.uid, root_ver=row.root_ver + 1, method=method)
    values = {
        "opaque_suite": following.suite,
        "opaque_record": following.opaque_record,
        "root_ver": row.root_ver + 1,
        "wrap_password": following.wraps[0],
        "wrap_recovery": following.wraps[1],
        "identity": following.identity,
        "idfp": verified.idfp,
    }
    connection.execute(update(account).where(account.c.id == row.id).values(values))
    swap_list(connection, row.id, following.identity, verified, following.signature, now_ms)
    query = select(device.c.id, device.c.did).where(device.c.account_id == row.id, device.c.revoked_ms.is_(None))
    for listed in connection.execute(query).all():
        if verified.find(listed.did) is None:
            revoke_device(connection, listed.id, now_ms)
    return contacts_of(connection, row.id)


def _require_token(row: AnyRow | None, token: bytes, now_ms: int) -> None:
    """`row` has a reset's `token_hash` and `expires_ms`."""
    if row is None or row.expires_ms <= now_ms or not hmac.compare_digest(row.token_hash, _hash(token)):
        raise ProtocolError(Code.RESET_INVALID)


def _dids(verified: VerifiedList) -> list[bytes]:
    return [listed.did for listed in verified.list.devices]


def _hash(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
