"""Changing the password: a new OPAQUE record and the same account root under it, in one transaction."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from sqlalchemy import Connection, update

from mensajeria.kit.clock import Clock
from mensajeria.kit.ids import random16
from mensajeria.protocol import limits
from mensajeria.protocol.approval import Action, password_digest
from mensajeria.protocol.auth import SUITE_PASSWORD
from mensajeria.protocol.auth_changes import PasswordChangeChallenge, PasswordChangeFinish, PasswordChangeStart
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.server.accounts.approvals import change_of, check_wrap, require_approval
from mensajeria.server.accounts.ended import EndedLogins
from mensajeria.server.accounts.ending import end_all_logins
from mensajeria.server.accounts.login import ProvenLogin, proven_account
from mensajeria.server.accounts.opaque import PasswordVerifier
from mensajeria.server.admin.audit import Act, record
from mensajeria.server.db.engine import Database
from mensajeria.server.db.schema import account
from mensajeria.server.facts import Facts
from mensajeria.server.ratelimit.limiter import Limiter
from mensajeria.server.ratelimit.limits import Limit


@dataclass(frozen=True, slots=True)
class PasswordTicket:
    """A change under way. It lives in one connection, belongs to one login and is good once."""

    ticket: bytes
    proven: ProvenLogin
    suite: int
    expires_ms: int


class PasswordChange:
    """The service behind the `password_change` messages."""

    def __init__(
        self, *, clock: Clock, db: Database, facts: Facts, limiter: Limiter, opaque: PasswordVerifier, ends: EndedLogins
    ) -> None:
        self._clock = clock
        self._db = db
        self._facts = facts
        self._limiter = limiter
        self._opaque = opaque
        self._ends = ends

    async def start(
        self, proven: ProvenLogin, message: PasswordChangeStart
    ) -> tuple[PasswordTicket, PasswordChangeChallenge]:
        """Evaluate the OPAQUE request for the account's handle.

        Raises:
            ProtocolError: NEWER_VERSION (unknown suite), RATE_LIMITED, MALFORMED, BAD_CREDENTIALS (the password was
                changed since it was proven), ACCOUNT_SUSPENDED.
        """
        if message.suite != SUITE_PASSWORD:
            raise ProtocolError(Code.NEWER_VERSION, "password suite")
        await self._limiter.check(Limit.CHANGE_ACCOUNT, proven.uid)
        row = await self._db.query(lambda connection: proven_account(connection, proven))
        response = self._opaque.registration_response(message.request, row.handle)
        expires = self._clock.now_ms() + limits.TICKET_S * 1000
        ticket = PasswordTicket(random16(), proven, message.suite, expires)
        return ticket, PasswordChangeChallenge(ticket.ticket, response)

    async def finish(self, ticket: PasswordTicket | None, message: PasswordChangeFinish) -> None:
        """Replace record and wrap; end every login of the account.

        Raises:
            ProtocolError: TICKET_INVALID, MALFORMED, UNKNOWN_DEVICE, UNAUTHORIZED, APPROVAL_NEEDED, BAD_CREDENTIALS or
                ACCOUNT_SUSPENDED: nothing was changed.
        """
        if ticket is None or ticket.ticket != message.ticket or ticket.expires_ms <= self._clock.now_ms():
            raise ProtocolError(Code.TICKET_INVALID)
        new_record = await asyncio.to_thread(self._opaque.record, message.upload)
        ended = await self._db.write(lambda connection: self._store(connection, ticket, message, new_record))
        await self._ends.tell(ended)

    def _store(
        self, connection: Connection, ticket: PasswordTicket, message: PasswordChangeFinish, new_record: bytes
    ) -> list[int]:
        proven, now_ms = ticket.proven, self._clock.now_ms()
        row = proven_account(connection, proven, lock=True)
        check_wrap(message.wrap_password, uid=row.uid, root_ver=row.root_ver, method="opaque")
        digest = password_digest(message.ticket, message.upload, message.wrap_password)
        change = change_of(proven, Action.PASSWORD_CHANGE, self._facts.server_id, digest)
        require_approval(connection, proven, change, message.approval, identity=row.identity, now_ms=now_ms)
        values = {
            "opaque_suite": ticket.suite,
            "opaque_record": new_record,
            "wrap_password": message.wrap_password,
        }
        connection.execute(update(account).where(account.c.id == row.id).values(values))
        record(connection, Act.PASSWORD_CHANGED, actor=row.uid.hex(), target=row.uid.hex(), now_ms=now_ms)
        return end_all_logins(connection, row.id)
