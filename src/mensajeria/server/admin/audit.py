"""The audit log: who did what to whom, when. Never content, never a secret."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import structlog
from sqlalchemy import Connection, delete, insert, select

from mensajeria.kit.clock import Clock
from mensajeria.server.db.engine import Database
from mensajeria.server.db.failures import DATABASE_ERRORS
from mensajeria.server.db.schema_access import audit

DAY_MS: Final = 24 * 3600 * 1000
PAGE: Final = 200
OPERATOR: Final = "operator"
SWEEP_S: Final = 3600.0
_log = structlog.get_logger(__name__)


class Act(StrEnum):
    """The closed list of what is recorded."""

    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - a name
    RECOVERED = "recovered"
    IDENTITY_RENEWED = "identity_renewed"
    IDENTITY_RESET = "identity_reset"
    RESET_ALLOWED = "reset_allowed"
    DEVICE_REMOVED = "device_removed"
    LOGGED_OUT_EVERYWHERE = "logged_out_everywhere"
    ACCOUNT_DELETED = "account_deleted"
    ACCOUNT_SUSPENDED = "account_suspended"
    ACCOUNT_RESTORED = "account_restored"
    LISTS_BROUGHT_BACK = "lists_brought_back"
    ACCOUNT_APPROVED = "account_approved"
    ACCOUNT_REJECTED = "account_rejected"
    INVITE_CREATED = "invite_created"
    INVITE_REVOKED = "invite_revoked"
    KEYS_ROTATED = "keys_rotated"
    BACKUP_MADE = "backup_made"
    BACKUP_RESTORED = "backup_restored"
    RESTORE_DECLARED = "restore_declared"
    REPORT_CLOSED = "report_closed"
    RETENTION_RUN = "retention_run"


@dataclass(frozen=True, slots=True)
class AuditRow:
    """`actor`: "operator" with the name of the system's user, or the account's uid. Times in milliseconds UTC."""

    id: int
    ts: int
    actor: str
    action: str
    target: str
    detail: str


def record(connection: Connection, act: Act, *, actor: str, target: str, now_ms: int, detail: str = "") -> None:
    """Write a line, in the transaction of what it tells."""
    row = {"ts": now_ms, "actor": actor[:80], "action": act.value, "target": target[:80], "detail": detail[:200]}
    connection.execute(insert(audit).values(row))


def entries(connection: Connection, *, before: int | None = None, limit: int = PAGE) -> list[AuditRow]:
    """Lines with a lower id than `before`, newest first."""
    query = select(audit).order_by(audit.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(audit.c.id < before)
    return [AuditRow(*row) for row in connection.execute(query)]


def forget_old(connection: Connection, *, days: int, now_ms: int) -> int:
    """Remove lines older than `days`; how many."""
    return connection.execute(delete(audit).where(audit.c.ts < now_ms - days * DAY_MS)).rowcount


class AuditSweep:
    """Removes old lines of a running server's log, once an hour."""

    def __init__(self, db: Database, clock: Clock, days: int) -> None:
        self._db = db
        self._clock = clock
        self._days = days
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._sweep_for_ever(), name="audit")

    async def close(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def sweep(self) -> int:
        """Remove what is too old now; how many lines."""
        now_ms = self._clock.now_ms()
        return await self._db.write(lambda connection: forget_old(connection, days=self._days, now_ms=now_ms))

    async def _sweep_for_ever(self) -> None:
        while True:
            try:
                await self.sweep()
            except DATABASE_ERRORS as error:
                _log.warning("audit_not_swept", error=type(error).__name__)
            await asyncio.sleep(SWEEP_S)
