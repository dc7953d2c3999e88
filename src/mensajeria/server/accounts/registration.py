"""Registration: handle, OPAQUE record, identity, first device list and its device's prekeys, all or nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError

from mensajeria.kit.clock import Clock
from mensajeria.kit.ids import random16
from mensajeria.protocol import limits
from mensajeria.protocol.auth import SUITE_PASSWORD, RegisterChallenge, RegisterFinish, RegisterStart
from mensajeria.protocol.devices import VerifiedList
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.server.accounts.invites import check_invite, note_invitation, use_invite
from mensajeria.server.accounts.opaque import PasswordVerifier
from mensajeria.server.accounts.reserved import is_reserved
from mensajeria.server.db.engine import Database
from mensajeria.server.db.schema import ACTIVE, PENDING, account
from mensajeria.server.devices.lists import NewDevice, check_first, insert_device, insert_list
from mensajeria.server.facts import Facts
from mensajeria.server.keys.prekeys import check_prekeys
from mensajeria.server.ratelimit.limiter import Limiter
from mensajeria.server.ratelimit.limits import Limit
from mensajeria.server.settings import Settings
from mensajeria.server.transparency.log import record_handle


@dataclass(frozen=True, slots=True)
class Ticket:
    """A registration under way.

    It lives in one connection and is good once: what it binds together (the handle that OPAQUE evaluated, the new uid,
    the invite) cannot be mixed with another's.
    """

    ticket: bytes
    uid: bytes
    handle: str
    invite: bytes
    suite: int
    expires_ms: int


@dataclass(frozen=True, slots=True)
class _Enrolment:
    """Everything that goes into the transaction, already verified."""

    ticket: Ticket
    message: RegisterFinish
    record: bytes
    verified: VerifiedList
    device: NewDevice


class Registration:
    """The service behind the `register` messages."""

    def __init__(
        self, settings: Settings, clock: Clock, db: Database, facts: Facts, limiter: Limiter, opaque: PasswordVerifier
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._db = db
        self._facts = facts
        self._limiter = limiter
        self._opaque = opaque

    async def is_free(self, handle: str, invite: bytes, network: str | None) -> bool:
        """True when nobody has the handle, and nobody had it who deleted the account within the last year.

        Raises:
            ProtocolError: RATE_LIMITED, REGISTRATION_CLOSED, INVITE_REQUIRED or INVITE_INVALID.
        """
        await self._limit(Limit.CHECK_HANDLE_NETWORK, network)
        await self._admit(invite, network)
        now_ms = self._clock.now_ms()
        return not await self._db.query(lambda connection: _is_taken(connection, handle, now_ms))

    async def start(self, message: RegisterStart, network: str | None) -> tuple[Ticket, RegisterChallenge]:
        """Evaluate the OPAQUE request for the handle.

        Raises:
            ProtocolError: as `is_free`; HANDLE_TAKEN, NEWER_VERSION (unknown suite) or MALFORMED.
        """
        if message.suite != SUITE_PASSWORD:
            raise ProtocolError(Code.NEWER_VERSION, "password suite")
        await self._limit(Limit.REGISTER_NETWORK, network)
        await self._admit(message.invite, network)
        now_ms = self._clock.now_ms()
        if await self._db.query(lambda connection: _is_taken(connection, message.handle, now_ms)):
            raise ProtocolError(Code.HANDLE_TAKEN)
        response = self._opaque.registration_response(message.request, message.handle)
        expires = self._clock.now_ms() + limits.TICKET_S * 1000
        ticket = Ticket(random16(), random16(), message.handle, message.invite, message.suite, expires)
        return ticket, RegisterChallenge(ticket.ticket, ticket.uid, response)

    async def finish(self, ticket: Ticket | None, message: RegisterFinish) -> bytes:
        """Make the account; its uid when it is committed.

        Raises:
            ProtocolError: TICKET_INVALID, MALFORMED, LIST_INVALID, HANDLE_TAKEN, INVITE_INVALID: nothing was stored.
        """
        if ticket is None or ticket.ticket != message.ticket or ticket.expires_ms <= self._clock.now_ms():
            raise ProtocolError(Code.TICKET_INVALID)
        enrolment = await asyncio.to_thread(self._check, ticket, message)
        try:
            await self._db.write(lambda connection: self._store(connection, enrolment))
        except IntegrityError as error:  # somebody was faster: the second look says with what
            now_ms = self._clock.now_ms()
            if await self._db.query(lambda connection: _is_taken(connection, ticket.handle, now_ms)):
                raise ProtocolError(Code.HANDLE_TAKEN) from error
            raise ProtocolError(Code.LIST_INVALID, "a device id or key is already in use") from error
        return ticket.uid

    async def _limit(self, limit: Limit, network: str | None) -> None:
        if network is not None:
            await self._limiter.check(limit, network)

    async def _admit(self, invite: bytes, network: str | None) -> None:
        """May somebody with this invite register at all?"""
        match self._settings.effective_registration:
            case "closed":
                raise ProtocolError(Code.REGISTRATION_CLOSED)
            case "invite":
                if not invite:
                    raise ProtocolError(Code.INVITE_REQUIRED)
                await self._limit(Limit.INVITE_NETWORK, network)
                now_ms = self._clock.now_ms()
                await self._db.query(lambda connection: check_invite(connection, invite, now_ms))
            case "open" | "approval":
                return

    def _check(self, ticket: Ticket, message: RegisterFinish) -> _Enrolment:
        verified = check_first(message.device_list, message.identity, uid=ticket.uid, handle=ticket.handle)
        listed = verified.list.devices[0]
        now_ms = self._clock.now_ms()
        prekeys = check_prekeys(message.prekeys, uid=ticket.uid, signer=listed, now_ms=now_ms, complete=True)
        device = NewDevice(listed, message.device_name, prekeys)
        return _Enrolment(ticket, message, self._opaque.record(message.upload), verified, device)

    def _store(self, connection: Connection, enrolment: _Enrolment) -> None:
        ticket, now_ms = enrolment.ticket, self._clock.now_ms()
        mode = self._settings.effective_registration
        invite_id = use_invite(connection, ticket.invite, now_ms) if mode == "invite" else None
        if _is_taken(connection, ticket.handle, now_ms):
            raise ProtocolError(Code.HANDLE_TAKEN)
        status = PENDING if mode == "approval" else ACTIVE
        account_id = _insert_account(connection, enrolment, status, now_ms)
        if invite_id is not None:
            note_invitation(connection, account_id, invite_id, now_ms)
        message, verified = enrolment.message, enrolment.verified
        insert_list(connection, account_id, message.identity, verified, message.device_list.sig, now_ms)
        server_id, uid = self._facts.server_id, ticket.uid
        record_handle(connection, server_id=server_id, handle=ticket.handle, uid=uid, now_ms=now_ms)
        insert_device(connection, account_id, enrolment.device, now_ms)


def _is_taken(connection: Connection, handle: str, now_ms: int) -> bool:
    if connection.execute(select(account.c.id).where(account.c.handle == handle)).one_or_none() is not None:
        return True
    return is_reserved(connection, handle, now_ms)


def _insert_account(connection: Connection, enrolment: _Enrolment, status: str, now_ms: int) -> int:
    ticket, message = enrolment.ticket, enrolment.message
    row = insert(account).values(
        uid=ticket.uid,
        handle=ticket.handle,
        status=status,
        created_ms=now_ms,
        opaque_suite=ticket.suite,
        opaque_record=enrolment.record,
        root_ver=1,
        wrap_password=message.wrap_password,
        wrap_recovery=message.wrap_recovery,
        identity=message.identity,
        idfp=enrolment.verified.idfp,
        list_ver=1,
    )
    account_id: int = connection.execute(row.returning(account.c.id)).scalar_one()
    return account_id
