"""What accounts take up on the server, beside what they may."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, func, select

from mensajeria.protocol import limits
from mensajeria.server.admin.work import reading
from mensajeria.server.db.schema import account, device
from mensajeria.server.db.schema_content import backup_use, file
from mensajeria.server.settings import Settings

PAGE: Final = 50


@dataclass(frozen=True, slots=True)
class QuotaRow:
    """Bytes of one account: what counts against its quotas (files with the whole size of unfinished ones)."""

    handle: str
    uid: bytes
    file_bytes: int
    backup_bytes: int
    mail_bytes: int


@dataclass(frozen=True, slots=True)
class Quotas:
    """What one account may have, and the accounts that have most. `mail` is for each of its devices."""

    files: int
    backup: int
    mail: int
    accounts: tuple[QuotaRow, ...]


def quotas(settings: Settings, *, limit: int = PAGE) -> Quotas:
    """The `limit` accounts that take up most, the largest first."""
    rows = reading(settings, lambda connection: _largest(connection, limit))
    return Quotas(settings.file_quota_mb << 20, limits.BACKUP_BYTES, limits.MAILBOX_BYTES, tuple(rows))


def _largest(connection: Connection, limit: int) -> list[QuotaRow]:
    files = (
        select(file.c.account.label("account"), func.sum(file.c.size).label("bytes"))
        .group_by(file.c.account)
        .subquery()
    )
    mail = (
        select(device.c.account_id.label("account"), func.sum(device.c.mail_bytes).label("bytes"))
        .where(device.c.revoked_ms.is_(None))
        .group_by(device.c.account_id)
        .subquery()
    )
    parts = [func.coalesce(part.c.bytes, 0) for part in (files, backup_use, mail)]
    query = (
        select(account.c.handle, account.c.uid, *parts)
        .outerjoin(files, files.c.account == account.c.id)
        .outerjoin(backup_use, backup_use.c.account == account.c.id)
        .outerjoin(mail, mail.c.account == account.c.id)
        .order_by((parts[0] + parts[1] + parts[2]).desc(), account.c.id)
        .limit(limit)
    )
    return [QuotaRow(row[0], row[1], int(row[2]), int(row[3]), int(row[4])) for row in connection.execute(query)]
