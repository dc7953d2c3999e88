"""`mensajeria admin stats`, `doctor`, `audit` and `keys rotate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mensajeria.cli.commands.admin_pages import tell_rest
from mensajeria.cli.display import moment
from mensajeria.cli.exit_codes import Exit
from mensajeria.cli.failure import CommandError
from mensajeria.server.admin import commands, keys
from mensajeria.server.admin import doctor as doctor_checks
from mensajeria.server.admin.records import FAILED
from mensajeria.server.admin.stats import stats as count_rows

if TYPE_CHECKING:
    import argparse

    from mensajeria.cli.console import Console
    from mensajeria.server.settings import Settings


def stats(settings: Settings, _args: argparse.Namespace, console: Console) -> None:
    """How much there is of what."""
    found = count_rows(settings)
    if console.as_json:
        console.record(type="stats", **found)
        return
    width = max(map(len, found))
    for name, value in found.items():
        console.line(f"{name:<{width}}  {value:>12}")


def doctor(settings: Settings, _args: argparse.Namespace, console: Console) -> None:
    """What usually goes wrong; fails when something has."""
    checks = doctor_checks.doctor(settings)
    for check in checks:
        if console.as_json:
            console.record(type="check", name=check.name, state=check.state, detail=check.detail)
        else:
            console.line(f"{console.tr(f'admin.check_{check.state}'):<8} {check.name}: {check.detail}")
    failed = [check.name for check in checks if check.state == FAILED]
    if failed:
        raise CommandError("doctor", {"names": ", ".join(failed)}, status=Exit.CONFIG)


def audit(settings: Settings, args: argparse.Namespace, console: Console) -> None:
    """Who did what, newest first."""
    found = commands.list_audit(settings, before=args.before, limit=args.limit + 1)
    for row in found[: args.limit]:
        if console.as_json:
            console.record(type="audit", id=row.id, ts_ms=row.ts, actor=row.actor, action=row.action, target=row.target)
        else:
            console.line(f"{row.id}  {moment(row.ts)}  {row.actor}  {row.action}  {row.target}")
    if not found and not console.as_json:
        console.say("admin.audit_none")
    tell_rest(console, found, args.limit, "before")


def rotate_keys(settings: Settings, args: argparse.Namespace, console: Console) -> None:
    """A new key for access tokens, or the one that seals channel keys."""
    count = None
    if args.channel:
        count = keys.rotate_channel_key(settings)
    else:
        keys.rotate_token_key(settings)
    if console.as_json:
        console.record(type="keys_rotated", key="channel" if args.channel else "token", sealed=count)
    else:
        console.say("admin.keys_rotated")
