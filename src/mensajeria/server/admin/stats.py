"""Numbers about the server: how much there is of what."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, Table, func, select, text

from mensajeria.kit.clock import Clock, SystemClock
from mensajeria.server.admin.work import reading
from mensajeria.server.db.schema import account, device, invite, kt_leaf, one_time_key
from mensajeria.server.db.schema_chats import chat, chat_member, event, mailbox
from mensajeria.server.db.schema_content import backup_row, file, report
from mensajeria.server.settings import Settings

DAY_MS = 24 * 3600 * 1000


def stats(settings: Settings, clock: Clock | None = None) -> dict[str, int]:
    """Counts by name, in a fixed order; sizes in bytes. Counts every row of the logs: seconds on a large database."""
    now_ms = (clock or SystemClock()).now_ms()
    return reading(settings, lambda connection: _count(connection, now_ms))


def _count(connection: Connection, now_ms: int) -> dict[str, int]:
    by_status = select(account.c.status, func.count()).group_by(account.c.status)
    statuses: dict[str, int] = {row[0]: row[1] for row in connection.execute(by_status)}
    live = device.c.revoked_ms.is_(None)
    usable = (invite.c.uses_left > 0, invite.c.expires_ms > now_ms, invite.c.revoked_ms.is_(None))
    return {
        "accounts_active": statuses.get("active", 0),
        "accounts_suspended": statuses.get("suspended", 0),
        "accounts_pending": statuses.get("pending", 0),
        "devices": _rows(connection, device, live),
        "devices_seen_day": _rows(connection, device, live, device.c.last_seen_ms > now_ms - DAY_MS),
        "devices_seen_month": _rows(connection, device, live, device.c.last_seen_ms > now_ms - 30 * DAY_MS),
        "chats": _rows(connection, chat),
        "memberships": _rows(connection, chat_member),
        "events": _rows(connection, event),
        "mailbox_envelopes": _rows(connection, mailbox),
        "mailbox_bytes": _sum(connection, device.c.mail_bytes),
        "one_time_keys": _rows(connection, one_time_key),
        "key_log_leaves": _rows(connection, kt_leaf),
        "backup_rows": _rows(connection, backup_row),
        "files": _rows(connection, file),
        "file_bytes": _sum(connection, file.c.received),
        "invites_usable": _rows(connection, invite, *usable),
        "reports_open": _rows(connection, report, report.c.resolved_ms.is_(None)),
        "database_bytes": _database_bytes(connection),
    }


def _rows(connection: Connection, table: Table, *where: ColumnElement[bool]) -> int:
    query = select(func.count()).select_from(table).where(*where)
    return int(connection.execute(query).scalar_one())


def _sum(connection: Connection, column: ColumnElement[int]) -> int:
    return int(connection.execute(select(func.coalesce(func.sum(column), 0))).scalar_one())


def _database_bytes(connection: Connection) -> int:
    if connection.dialect.name == "postgresql":
        return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())
    pages = connection.execute(text("PRAGMA page_count")).scalar_one()
    return int(pages) * int(connection.execute(text("PRAGMA page_size")).scalar_one())
