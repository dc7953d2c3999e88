"""`mensajeria admin report`, `retention` and `quotas`: content that nobody here can read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mensajeria.cli.commands.admin_pages import tell_rest
from mensajeria.cli.display import moment
from mensajeria.cli.failure import CommandError, UsageError
from mensajeria.cli.terminal import one_line
from mensajeria.server.admin import content
from mensajeria.server.admin import quotas as usage
from mensajeria.server.admin.reports import RESOLUTION_MAX

if TYPE_CHECKING:
    import argparse

    from mensajeria.cli.console import Console
    from mensajeria.server.admin.reports import ReportRow
    from mensajeria.server.settings import Settings


def list_reports(settings: Settings, args: argparse.Namespace, console: Console) -> None:
    """One page of reports, oldest first: claims, nothing in them is proven."""
    found = content.list_reports(settings, after=args.after or 0, limit=args.limit + 1, include_resolved=args.all)
    for report in found[: args.limit]:
        if console.as_json:
            console.record(**_record(report))
            continue
        state = console.tr("admin.report_open" if report.resolved_ms is None else "admin.report_resolved")
        about = report.target_handle or report.target.hex()
        by = report.reporter or "—"
        console.say(
            "admin.report_line", id=report.id, created=moment(report.created_ms), by=by, about=about, state=state
        )
        console.line(f"  {one_line(report.claim)}")
        if report.resolution:
            console.line(f"  → {one_line(report.resolution)}")
    if not found and not console.as_json:
        console.say("admin.report_none")
    tell_rest(console, found, args.limit, "after")


def _record(report: ReportRow) -> dict[str, object]:
    return {
        "type": "report",
        "id": report.id,
        "reporter": report.reporter,
        "target": report.target.hex(),
        "target_handle": report.target_handle,
        "chat": None if report.chat_id is None else report.chat_id.hex(),
        "claim": report.claim,
        "created_ms": report.created_ms,
        "resolved_ms": report.resolved_ms,
        "resolution": report.resolution,
    }


def resolve_report(settings: Settings, args: argparse.Namespace, console: Console) -> None:
    """Close a report with a note."""
    try:
        content.resolve_report(settings, args.report, args.note)
    except LookupError as error:
        raise CommandError("not_found") from error
    except ValueError as error:
        raise UsageError("report_note", most=str(RESOLUTION_MAX)) from error
    if console.as_json:
        console.record(type="report_resolved", id=args.report)
    else:
        console.say("admin.report_done", id=args.report)


def show_retention(settings: Settings, _args: argparse.Namespace, console: Console) -> None:
    """What the next run would find."""
    found = content.show_retention(settings)
    days = settings.retention_days
    if console.as_json:
        console.record(type="retention", days=days, due=found.due, timers=found.timers, purges=found.purges)
        return
    console.say("admin.retention_days" if days else "admin.retention_kept", days=days or 0)
    console.say("admin.retention_line", due=found.due, timers=found.timers, purges=found.purges)


def run_retention(settings: Settings, _args: argparse.Namespace, console: Console) -> None:
    """Erase now what timers and the operator's rule say."""
    done = content.run_retention(settings)
    if console.as_json:
        console.record(type="erased", timers=done.timers, old=done.old, purged=done.purged)
    else:
        console.say("admin.retention_done", timers=done.timers, old=done.old, purged=done.purged)


def declare_restored(settings: Settings, _args: argparse.Namespace, console: Console) -> None:
    """Tell clients, from the next start on, that the database is an older copy: no attack, but something to heal."""
    epoch = content.bump_restore_epoch(settings)
    if console.as_json:
        console.record(type="restored", restore_epoch=epoch)
    else:
        console.say("admin.restored", epoch=epoch)


def quotas(settings: Settings, args: argparse.Namespace, console: Console) -> None:
    """Which accounts take up most, and what each may."""
    found = usage.quotas(settings, after=args.after or 0, limit=args.limit + 1)
    if console.as_json:
        console.record(type="quotas", file_bytes=found.files, backup_bytes=found.backup, mail_bytes=found.mail)
    else:
        console.say("admin.quota_limits", files=_mib(found.files), backup=_mib(found.backup), mail=_mib(found.mail))
    for row in found.accounts[: args.limit]:
        parts = {"file_bytes": row.file_bytes, "backup_bytes": row.backup_bytes, "mail_bytes": row.mail_bytes}
        if console.as_json:
            console.record(type="quota", uid=row.uid.hex(), handle=row.handle, **parts)
        else:
            sizes = {"files": _mib(row.file_bytes), "backup": _mib(row.backup_bytes), "mail": _mib(row.mail_bytes)}
            console.say("admin.quota_line", handle=row.handle, **sizes)
    tell_rest(console, found.accounts, args.limit, "after")


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.1f}"
