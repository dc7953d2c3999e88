"""The operator's commands about content that nobody here can read: retention, reports, a declared restore."""

from __future__ import annotations

from functools import partial

from sqlalchemy import Connection, delete, update

from mensajeria.kit.clock import Clock, SystemClock
from mensajeria.server.admin import reports
from mensajeria.server.admin.audit import Act, record
from mensajeria.server.admin.reports import ReportRow
from mensajeria.server.admin.work import in_transaction, operator, reading, with_database
from mensajeria.server.chats.retention import Erased, Retention, Waiting, waiting
from mensajeria.server.db.engine import Database
from mensajeria.server.db.schema import one_time_key, server_state
from mensajeria.server.facts import RESTORE_EPOCH, StateError, read_facts
from mensajeria.server.findings import Finding
from mensajeria.server.settings import Settings


def run_retention(settings: Settings, clock: Clock | None = None) -> Erased:
    """Erase now what the timers and the setting `retention_days` say; also beside a running server."""
    clock = clock or SystemClock()

    async def run(db: Database) -> Erased:
        erased = await Retention(db, clock, settings.retention_days).run()
        act, count = Act.RETENTION_RUN, str(erased.timers + erased.old)
        await db.write(
            lambda connection: record(connection, act, actor=operator(), target=count, now_ms=clock.now_ms())
        )
        return erased

    return with_database(settings, run)


def show_retention(settings: Settings, clock: Clock | None = None) -> Waiting:
    """What the next run would find."""
    now_ms = (clock or SystemClock()).now_ms()
    return reading(settings, lambda connection: waiting(connection, now_ms))


def list_reports(
    settings: Settings, *, after: int = 0, limit: int = reports.PAGE, include_resolved: bool = False
) -> list[ReportRow]:
    """See `reports.list_reports`."""
    wanted = partial(reports.list_reports, after=after, limit=limit, include_resolved=include_resolved)
    return reading(settings, wanted)


def resolve_report(settings: Settings, report_id: int, resolution: str, clock: Clock | None = None) -> None:
    """See `reports.resolve_report`."""
    now_ms = (clock or SystemClock()).now_ms()

    def close(connection: Connection) -> None:
        reports.resolve_report(connection, report_id, resolution, now_ms)
        record(connection, Act.REPORT_CLOSED, actor=operator(), target=str(report_id), now_ms=now_ms)

    in_transaction(settings, close)


def bump_restore_epoch(settings: Settings) -> int:
    """Declare that the database was restored from a backup; the new epoch, which a server tells from its next start on.

    Clients then bring back what the backup lacks, instead of calling it an attack. The one-time keys are dropped: some
    of them were given out after the backup was made, and none may be given out twice.

    Raises:
        StateError: the database was never used.
    """

    def declare(connection: Connection) -> int:
        epoch = raise_restore_epoch(connection)
        record(connection, Act.RESTORE_DECLARED, actor=operator(), target=str(epoch), now_ms=SystemClock().now_ms())
        return epoch

    return in_transaction(settings, declare)


def raise_restore_epoch(connection: Connection, *, above: int = 0) -> int:
    """As `bump_restore_epoch`, in a transaction of the caller's; higher than `above`, too, if it is given."""
    facts = read_facts(connection)
    if facts is None:
        raise StateError(Finding.IDENTITY_MISSING())
    epoch = max(facts.restore_epoch, above) + 1
    row = update(server_state).where(server_state.c.key == RESTORE_EPOCH)
    connection.execute(row.values(value=epoch.to_bytes(8, "big")))
    connection.execute(delete(one_time_key))
    return epoch
