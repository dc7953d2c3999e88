"""The operator's commands about accounts. Each is one transaction with its line in the audit log.

What ends a login is signalled to the running servers, which notice within about a second (`accounts.signals`).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection, func, select, update

from mensajeria.kit.clock import Clock, SystemClock
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import limits
from mensajeria.protocol.errors import Code
from mensajeria.server.accounts.deletion import delete_account
from mensajeria.server.accounts.ending import end_all_logins
from mensajeria.server.accounts.identities import allow_reset
from mensajeria.server.accounts.signals import signal_chats, signal_ended
from mensajeria.server.admin.audit import Act, record
from mensajeria.server.admin.records import AllowedReset, DeviceRow, UserDetails
from mensajeria.server.admin.work import in_transaction, operator, reading
from mensajeria.server.db.engine import AnyRow
from mensajeria.server.db.schema import ACTIVE, PENDING, SUSPENDED, account, device
from mensajeria.server.db.schema_access import invitation
from mensajeria.server.db.schema_chats import chat_member
from mensajeria.server.settings import Settings

UID_BYTES = 16
RESET_HOURS: Final = 24
MAX_RESET_HOURS: Final = 7 * 24
HOUR_MS: Final = 3600 * 1000


class UserStateError(Exception):
    """The account is not in the state that the command is for; `status` is the one it is in."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


def show_user(settings: Settings, who: str) -> UserDetails:
    """Everything about an account that the server knows and an operator may need; raises LookupError."""
    return reading(settings, lambda connection: _details(connection, _find(connection, who)))


def suspend_user(settings: Settings, who: str, clock: Clock | None = None) -> None:
    """Let nobody in any more and end the connections. Raises LookupError, UserStateError unless active."""

    def change(connection: Connection, row: AnyRow, now_ms: int) -> None:
        _move(connection, row, from_status=ACTIVE, to_status=SUSPENDED)
        query = select(device.c.id).where(device.c.account_id == row.id)
        signal_ended(connection, list(connection.execute(query).scalars()), Code.ACCOUNT_SUSPENDED, now_ms)

    _act(settings, who, Act.ACCOUNT_SUSPENDED, change, clock)


def unsuspend_user(settings: Settings, who: str, clock: Clock | None = None) -> None:
    """Let a suspended account in again. Raises LookupError, UserStateError unless suspended."""

    def change(connection: Connection, row: AnyRow, _now_ms: int) -> None:
        _move(connection, row, from_status=SUSPENDED, to_status=ACTIVE)

    _act(settings, who, Act.ACCOUNT_RESTORED, change, clock)


def approve_user(settings: Settings, who: str, clock: Clock | None = None) -> None:
    """Let an account in that waits for approval. Raises LookupError, UserStateError unless it waits."""

    def change(connection: Connection, row: AnyRow, _now_ms: int) -> None:
        _move(connection, row, from_status=PENDING, to_status=ACTIVE)

    _act(settings, who, Act.ACCOUNT_APPROVED, change, clock)


def reject_user(settings: Settings, who: str, clock: Clock | None = None) -> None:
    """Delete an account that waits for approval; its name is free again. Raises LookupError, UserStateError."""

    def change(connection: Connection, row: AnyRow, now_ms: int) -> None:
        if row.status != PENDING:
            raise UserStateError(row.status)
        delete_account(connection, row.id, now_ms, keep_name=False)

    _act(settings, who, Act.ACCOUNT_REJECTED, change, clock)


def delete_user(settings: Settings, who: str, clock: Clock | None = None) -> None:
    """Delete an account for good; its name stays reserved for a year. Raises LookupError."""

    def change(connection: Connection, row: AnyRow, now_ms: int) -> None:
        deleted = delete_account(connection, row.id, now_ms)
        signal_ended(connection, deleted.devices, Code.LOGIN_REVOKED, now_ms)
        signal_chats(connection, deleted.chats, now_ms)

    _act(settings, who, Act.ACCOUNT_DELETED, change, clock)


def allow_identity_reset(
    settings: Settings, who: str, *, hours: int = RESET_HOURS, clock: Clock | None = None
) -> AllowedReset:
    """Let the account get a new identity without the old one, by a code that is told once. Nothing else changes yet.

    For who has lost password and recovery code: everybody in touch with the account will be shown another identity.
    Raises LookupError, UserStateError unless active, ValueError when `hours` makes no sense.
    """
    if not 1 <= hours <= MAX_RESET_HOURS:
        raise ValueError(hours)
    token, found = Secret(secrets.token_bytes(limits.RESET_TOKEN_BYTES)), []

    def change(connection: Connection, row: AnyRow, now_ms: int) -> None:
        if row.status != ACTIVE:
            raise UserStateError(row.status)
        expires_ms = now_ms + hours * HOUR_MS
        allow_reset(connection, row.id, token.reveal(), now_ms, expires_ms)
        found.append(AllowedReset(row.handle, token, expires_ms))

    _act(settings, who, Act.RESET_ALLOWED, change, clock)
    return found[0]


def log_out_user(settings: Settings, who: str, clock: Clock | None = None) -> None:
    """End every login of an account; its devices stay listed. Raises LookupError."""

    def change(connection: Connection, row: AnyRow, now_ms: int) -> None:
        signal_ended(connection, end_all_logins(connection, row.id), Code.LOGIN_REVOKED, now_ms)

    _act(settings, who, Act.LOGGED_OUT_EVERYWHERE, change, clock)


def _act(
    settings: Settings,
    who: str,
    act: Act,
    change: Callable[[Connection, AnyRow, int], None],
    clock: Clock | None,
) -> None:
    now_ms, actor = (clock or SystemClock()).now_ms(), operator()

    def work(connection: Connection) -> None:
        row = _find(connection, who, lock=True)
        change(connection, row, now_ms)
        record(connection, act, actor=actor, target=row.uid.hex(), now_ms=now_ms)

    in_transaction(settings, work)


def _find(connection: Connection, who: str, *, lock: bool = False) -> AnyRow:
    """By user name, or by the uid in hexadecimal."""
    name = who.strip().removeprefix("@").lower()
    query = select(account).where(account.c.handle == name)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None and len(name) == 2 * UID_BYTES:
        try:
            by_uid = select(account).where(account.c.uid == bytes.fromhex(name))
        except ValueError as error:
            raise LookupError(who) from error
        row = connection.execute(by_uid.with_for_update() if lock else by_uid).one_or_none()
    if row is None:
        raise LookupError(who)
    return row


def _move(connection: Connection, row: AnyRow, *, from_status: str, to_status: str) -> None:
    if row.status != from_status:
        raise UserStateError(row.status)
    connection.execute(update(account).where(account.c.id == row.id).values(status=to_status))


def _details(connection: Connection, row: AnyRow) -> UserDetails:
    inviter = (
        select(account.c.handle)
        .join(invitation, invitation.c.invited_by == account.c.id)
        .where(invitation.c.account == row.id)
    )
    chats = select(func.count()).select_from(chat_member).where(chat_member.c.account == row.id)
    return UserDetails(
        uid=row.uid,
        handle=row.handle,
        status=row.status,
        created_ms=row.created_ms,
        list_ver=row.list_ver,
        invited_by=connection.execute(inviter).scalar_one_or_none(),
        chats=connection.execute(chats).scalar_one(),
        devices=_devices(connection, row.id),
    )


def _devices(connection: Connection, account_id: int) -> tuple[DeviceRow, ...]:
    columns = (device.c.did, device.c.name, device.c.created_ms, device.c.last_seen_ms, device.c.revoked_ms)
    query = select(*columns, device.c.ck_id.is_not(None), device.c.mail_bytes)
    rows = connection.execute(query.where(device.c.account_id == account_id).order_by(device.c.id))
    return tuple(DeviceRow(*row) for row in rows)
