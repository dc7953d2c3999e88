"""What accounts take up on the server, beside what they may."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, ScalarSelect, func, or_, select

from mensajeria.protocol import limits
from mensajeria.server.admin.work import reading
from mensajeria.server.db.schema import account, device
from mensajeria.server.db.schema_content import backup_use, file
from mensajeria.server.settings import Settings

PAGE: Final = 50


@dataclass(frozen=True, slots=True)
class QuotaRow:
    """Bytes of one account: what counts against its quotas (files with the whole size of unfinished ones)."""

    id: int
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


def quotas(settings: Settings, *, after: int = 0, limit: int = PAGE) -> Quotas:
    """`limit` accounts, those that take up most first; `after` an account's id goes on behind it.

    Sizes change between two pages: an account that moves meanwhile may be shown twice or not at all.
    """
    rows = reading(settings, lambda connection: _largest(connection, after, limit))
    return Quotas(settings.file_quota_mb << 20, limits.BACKUP_BYTES, limits.MAILBOX_BYTES, tuple(rows))


def _largest(connection: Connection, after: int, limit: int) -> list[QuotaRow]:
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
    sizes = (
        select(
            account.c.id,
            account.c.handle,
            account.c.uid,
            *(part.label(name) for part, name in zip(parts, ("files", "backup", "mail"), strict=True)),
            (parts[0] + parts[1] + parts[2]).label("bytes"),
        )
        .outerjoin(files, files.c.account == account.c.id)
        .outerjoin(backup_use, backup_use.c.account == account.c.id)
        .outerjoin(mail, mail.c.account == account.c.id)
        .cte("sizes")
    )
    query = select(sizes).order_by(sizes.c.bytes.desc(), sizes.c.id).limit(limit)
    if after:
        last: ScalarSelect[int] = select(sizes.c.bytes).where(sizes.c.id == after).scalar_subquery()
        query = query.where(or_(sizes.c.bytes < last, (sizes.c.bytes == last) & (sizes.c.id > after)))
    return [
        QuotaRow(row.id, row.handle, row.uid, int(row.files), int(row.backup), int(row.mail))
        for row in connection.execute(query)
    ]
