"""The operator's commands as functions. Blocking; they open the database themselves and work beside a running server.

Every one but `migrate_database` and `initialise` raises SchemaError when the database is not at the newest revision;
each raises sqlalchemy.exc.SQLAlchemyError or OSError when it cannot be used.
"""

from __future__ import annotations

import asyncio

from pydantic import SecretStr
from sqlalchemy import Connection, func, select

from mensajeria.kit.clock import Clock, SystemClock
from mensajeria.server.accounts import invites
from mensajeria.server.accounts.invites import DAY_MS, InviteRow
from mensajeria.server.admin.audit import PAGE, Act, AuditRow, entries, forget_old, record
from mensajeria.server.admin.records import CreatedInvite, Initialised, Migrated, Setting, UserRow
from mensajeria.server.admin.work import in_transaction, operator, reading
from mensajeria.server.db.engine import Database
from mensajeria.server.db.migrate import migrate
from mensajeria.server.db.schema import account, device
from mensajeria.server.facts import read_facts
from mensajeria.server.settings import PREFIX, Settings
from mensajeria.server.startup import prepare


def migrate_database(settings: Settings) -> Migrated:
    """Bring the database to the newest schema; raises SchemaError when it was made by a newer program."""
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Migrated(*migrate(settings.effective_database_url))


def initialise(settings: Settings, clock: Clock | None = None) -> Initialised:
    """Make a new server's schema, secrets and identity without starting it. A server that exists is left as it is.

    Raises:
        StateError: database and secret files do not belong together.
    """
    migrate_database(settings)
    return asyncio.run(_initialise(settings, clock or SystemClock()))


async def _initialise(settings: Settings, clock: Clock) -> Initialised:
    db = Database(settings.effective_database_url)
    try:
        is_new = await db.query(read_facts) is None
    finally:
        await db.close()
    prepared = await prepare(settings, clock)
    await prepared.db.close()
    registration = settings.effective_registration
    return Initialised(prepared.facts.server_id, registration, is_new, prepared.first_invite)


def create_invite(settings: Settings, *, uses: int = 1, days: int = 7, clock: Clock | None = None) -> CreatedInvite:
    """A new invite for `uses` registrations within `days` days; raises ValueError when these make no sense."""
    now_ms = (clock or SystemClock()).now_ms()
    expires_ms = now_ms + days * DAY_MS

    def store(connection: Connection) -> CreatedInvite:
        number, token = invites.create_invite(connection, uses=uses, expires_ms=expires_ms, now_ms=now_ms)
        record(connection, Act.INVITE_CREATED, actor=operator(), target=str(number), now_ms=now_ms)
        return CreatedInvite(number, token, uses, expires_ms)

    return in_transaction(settings, store)


def list_invites(settings: Settings, *, before: int | None = None, limit: int = PAGE) -> list[InviteRow]:
    """Invites, newest first; `before` an id goes on from there. `InviteRow.is_usable(now_ms)`: could it be used?"""
    return reading(settings, lambda connection: invites.list_invites(connection, before=before, limit=limit))


def revoke_invite(settings: Settings, invite_id: int, clock: Clock | None = None) -> None:
    """End an invite; raises LookupError when there is none with this id."""
    now_ms = (clock or SystemClock()).now_ms()

    def revoke(connection: Connection) -> bool:
        found = invites.revoke_invite(connection, invite_id, now_ms)
        if found:
            record(connection, Act.INVITE_REVOKED, actor=operator(), target=str(invite_id), now_ms=now_ms)
        return found

    if not in_transaction(settings, revoke):
        raise LookupError(f"there is no invite {invite_id}")


def list_audit(settings: Settings, *, before: int | None = None, limit: int = PAGE) -> list[AuditRow]:
    """The audit log, newest first; `before` an id goes on from there. Old lines are removed on the way."""
    now_ms = SystemClock().now_ms()

    def read(connection: Connection) -> list[AuditRow]:
        forget_old(connection, days=settings.audit_days, now_ms=now_ms)
        return entries(connection, before=before, limit=limit)

    return in_transaction(settings, read)


def list_users(settings: Settings, *, after: int = 0, limit: int = PAGE) -> list[UserRow]:
    """Accounts, oldest first; `after` an id goes on from there."""
    return reading(settings, lambda connection: users_after(connection, after=after, limit=limit))


def users_after(connection: Connection, *, after: int, limit: int) -> list[UserRow]:
    """One page of accounts with higher ids than `after`; devices are looked at of those alone."""
    listed = (device.c.account_id == account.c.id, device.c.revoked_ms.is_(None))
    query = (
        select(
            account.c.id,
            account.c.uid,
            account.c.handle,
            account.c.status,
            account.c.created_ms,
            select(func.count()).select_from(device).where(*listed).scalar_subquery(),
            select(func.coalesce(func.max(device.c.last_seen_ms), 0)).where(*listed).scalar_subquery(),
        )
        .where(account.c.id > after)
        .order_by(account.c.id)
        .limit(limit)
    )
    return [UserRow(*row) for row in connection.execute(query)]


def show_settings(settings: Settings) -> list[Setting]:
    """Every setting with its value, secrets redacted, in the order of the documentation."""
    return [_setting(settings, name) for name in type(settings).model_fields]


def _setting(settings: Settings, name: str) -> Setting:
    value = getattr(settings, name)
    text = ",".join(value) if isinstance(value, tuple) else "" if value is None else str(value)
    if isinstance(value, SecretStr):
        text = "***"
    return Setting(PREFIX + name.upper(), text, value == type(settings).model_fields[name].default)
