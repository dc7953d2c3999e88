"""The audit log: who did what to whom, when. Never content, never a secret."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from mensajeria.server.db.schema_access import audit

DAY_MS: Final = 24 * 3600 * 1000
PAGE: Final = 200
OPERATOR: Final = "operator"


class Act(StrEnum):
    """The closed list of what is recorded."""

    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - a name
    RECOVERED = "recovered"
    DEVICE_REMOVED = "device_removed"
    LOGGED_OUT_EVERYWHERE = "logged_out_everywhere"
    ACCOUNT_DELETED = "account_deleted"
    ACCOUNT_SUSPENDED = "account_suspended"
    ACCOUNT_RESTORED = "account_restored"
    ACCOUNT_APPROVED = "account_approved"
    ACCOUNT_REJECTED = "account_rejected"
    INVITE_CREATED = "invite_created"
    INVITE_REVOKED = "invite_revoked"
    KEYS_ROTATED = "keys_rotated"


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
