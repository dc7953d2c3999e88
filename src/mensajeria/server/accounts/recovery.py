"""Recovery: who holds the recovery code gives the account a new password. That is all it does: a login follows."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from mensajeria.kit.clock import Clock
from mensajeria.kit.ids import random16
from mensajeria.protocol import limits
from mensajeria.protocol.approval import recovery_body
from mensajeria.protocol.auth import SUITE_PASSWORD
from mensajeria.protocol.auth_changes import RecoveryChallenge, RecoveryFinish, RecoveryStart
from mensajeria.protocol.devices import decode_identity
from mensajeria.protocol.encoding import MalformedError
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.protocol.signing import BadSignatureError, Ctx, verify_ed25519
from mensajeria.server.accounts.approvals import check_wrap
from mensajeria.server.accounts.decoys import Decoys
from mensajeria.server.accounts.ended import EndedLogins
from mensajeria.server.accounts.ending import end_all_logins
from mensajeria.server.accounts.login import require_active
from mensajeria.server.accounts.opaque import PasswordVerifier
from mensajeria.server.admin.audit import Act, record
from mensajeria.server.db.engine import AnyRow, Database
from mensajeria.server.db.schema import account
from mensajeria.server.facts import Facts
from mensajeria.server.ratelimit.limiter import Limiter
from mensajeria.server.ratelimit.limits import Limit


@dataclass(frozen=True, slots=True)
class RecoveryTicket:
    """A recovery under way, in one connection, good once. `account_id` is None for a handle that nobody has."""

    ticket: bytes
    nonce: bytes
    uid: bytes
    identity: bytes
    suite: int
    account_id: int | None
    expires_ms: int


class Recovery:
    """The service behind the `recovery` messages."""

    def __init__(
        self,
        *,
        clock: Clock,
        db: Database,
        facts: Facts,
        limiter: Limiter,
        opaque: PasswordVerifier,
        decoys: Decoys,
        ends: EndedLogins,
    ) -> None:
        self._clock = clock
        self._db = db
        self._facts = facts
        self._limiter = limiter
        self._opaque = opaque
        self._decoys = decoys
        self._ends = ends

    async def start(self, message: RecoveryStart, network: str | None) -> tuple[RecoveryTicket, RecoveryChallenge]:
        """Give out what the recovery code opens, the same way whether or not the handle exists.

        Raises:
            ProtocolError: NEWER_VERSION (unknown suite), RATE_LIMITED or MALFORMED.
        """
        if message.suite != SUITE_PASSWORD:
            raise ProtocolError(Code.NEWER_VERSION, "password suite")
        if network is not None:
            await self._limiter.check(Limit.RECOVERY_NETWORK, network)
        await self._limiter.check(Limit.RECOVERY_HANDLE, message.handle)
        response = self._opaque.registration_response(message.request, message.handle)
        row = await self._db.query(lambda connection: _by_handle(connection, message.handle))
        uid, identity, wrap = await asyncio.to_thread(self._decoys.of, message.handle)
        root_ver, account_id = 1, None
        if row is not None:
            uid, identity, wrap, root_ver, account_id = row.uid, row.identity, row.wrap_recovery, row.root_ver, row.id
        expires = self._clock.now_ms() + limits.TICKET_S * 1000
        nonce = secrets.token_bytes(32)
        ticket = RecoveryTicket(random16(), nonce, uid, identity, message.suite, account_id, expires)
        return ticket, RecoveryChallenge(ticket.ticket, nonce, uid, response, identity, wrap, root_ver)

    async def finish(self, ticket: RecoveryTicket | None, message: RecoveryFinish) -> None:
        """Replace record and wraps; end every login of the account.

        Raises:
            ProtocolError: TICKET_INVALID, RECOVERY_INVALID (not signed by the account's recovery authority), MALFORMED,
                ACCOUNT_SUSPENDED or ACCOUNT_PENDING: nothing was changed.
        """
        if ticket is None or ticket.ticket != message.ticket or ticket.expires_ms <= self._clock.now_ms():
            raise ProtocolError(Code.TICKET_INVALID)
        self._verify(ticket, message)
        account_id = ticket.account_id
        if account_id is None:
            raise ProtocolError(Code.RECOVERY_INVALID)
        new_record = await asyncio.to_thread(self._opaque.record, message.upload)
        ended = await self._db.write(lambda c: self._store(c, account_id, ticket, message, new_record))
        await self._ends.tell(ended)

    def _verify(self, ticket: RecoveryTicket, message: RecoveryFinish) -> None:
        body = recovery_body(
            server_id=self._facts.server_id,
            uid=ticket.uid,
            nonce=ticket.nonce,
            upload=message.upload,
            wrap_password=message.wrap_password,
            wrap_recovery=message.wrap_recovery,
        )
        try:
            authority = decode_identity(ticket.identity).recovery
            verify_ed25519(authority, Ctx.RECOVERY_LOGIN, body, message.signature)
        except (BadSignatureError, MalformedError) as error:
            raise ProtocolError(Code.RECOVERY_INVALID) from error

    def _store(
        self,
        connection: Connection,
        account_id: int,
        ticket: RecoveryTicket,
        message: RecoveryFinish,
        new_record: bytes,
    ) -> list[int]:
        now_ms = self._clock.now_ms()
        row = connection.execute(select(account).where(account.c.id == account_id).with_for_update()).one_or_none()
        if row is None or row.identity != ticket.identity:  # deleted or moved to another identity meanwhile
            raise ProtocolError(Code.TICKET_INVALID)
        require_active(row)
        check_wrap(message.wrap_password, uid=row.uid, root_ver=row.root_ver, method="opaque")
        check_wrap(message.wrap_recovery, uid=row.uid, root_ver=row.root_ver, method="recovery")
        values = {
            "opaque_suite": ticket.suite,
            "opaque_record": new_record,
            "wrap_password": message.wrap_password,
            "wrap_recovery": message.wrap_recovery,
        }
        connection.execute(update(account).where(account.c.id == account_id).values(values))
        record(connection, Act.RECOVERED, actor=row.uid.hex(), target=row.uid.hex(), now_ms=now_ms)
        return end_all_logins(connection, account_id)


def _by_handle(connection: Connection, handle: str) -> AnyRow | None:
    columns = (account.c.id, account.c.uid, account.c.identity, account.c.wrap_recovery, account.c.root_ver)
    return connection.execute(select(*columns).where(account.c.handle == handle)).one_or_none()
