"""Reports as the operator sees them. Each is a claim by its reporter: nothing in it is proven."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, select, update

from mensajeria.server.db.schema import account
from mensajeria.server.db.schema_content import report

PAGE: Final = 100
RESOLUTION_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A claim. `reporter` is None when that account is gone; `resolved_ms` None while it is open."""

    id: int
    reporter: str | None
    target: bytes
    target_handle: str | None
    chat_id: bytes | None
    claim: str
    created_ms: int
    resolved_ms: int | None
    resolution: str | None


def list_reports(
    connection: Connection, *, after: int = 0, limit: int = PAGE, include_resolved: bool = False
) -> list[ReportRow]:
    """One page of reports, oldest first, with numbers above `after`."""
    by, about = account.alias(), account.alias()
    query = (
        select(
            report.c.id,
            by.c.handle,
            report.c.target,
            about.c.handle,
            report.c.chat_id,
            report.c.text,
            report.c.created_ms,
            report.c.resolved_ms,
            report.c.resolution,
        )
        .outerjoin(by, by.c.id == report.c.reporter)
        .outerjoin(about, about.c.uid == report.c.target)
        .where(report.c.id > after)
        .order_by(report.c.id)
        .limit(limit)
    )
    if not include_resolved:
        query = query.where(report.c.resolved_ms.is_(None))
    return [ReportRow(*row) for row in connection.execute(query)]


def resolve_report(connection: Connection, report_id: int, resolution: str, now_ms: int) -> None:
    """Close a report with a note.

    Raises:
        LookupError: there is no open report with this number.
        ValueError: the note is too long.
    """
    if len(resolution) > RESOLUTION_MAX:
        raise ValueError(f"a resolution has at most {RESOLUTION_MAX} characters")
    is_open = (report.c.id == report_id, report.c.resolved_ms.is_(None))
    done = connection.execute(update(report).where(*is_open).values(resolved_ms=now_ms, resolution=resolution))
    if done.rowcount != 1:
        raise LookupError(f"there is no open report {report_id}")
