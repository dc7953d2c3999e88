"""`mensajeria admin stats`, `doctor`, `audit` and `keys rotate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mensajeria.cli.commands.admin_pages import tell_rest
from mensajeria.cli.display import moment
from mensajeria.cli.exit_codes import Exit
from mensajeria.cli.failure import CommandError
from mensajeria.cli.operator import as_json, sentence
from mensajeria.cli.terminal import one_line
from mensajeria.server.admin import commands, keys
from mensajeria.server.admin import doctor as doctor_checks
from mensajeria.server.admin.audit import OPERATOR
from mensajeria.server.admin.records import State
from mensajeria.server.admin.stats import stats as count_rows

if TYPE_CHECKING:
    import argparse

    from mensajeria.cli.console import Console
    from mensajeria.server.admin.audit import AuditRow
    from mensajeria.server.settings import Settings


def stats(settings: Settings, _args: argparse.Namespace, console: Console) -> None:
    """How much there is of what."""
    found = count_rows(settings)
    if console.as_json:
        console.record(type="stats", **found)
        return
    names = {name: console.tr(f"stats.{name}") for name in found}
    width = max(map(len, names.values()))
    for name, value in found.items():
        console.line(f"{names[name]:<{width}}  {value:>12}")


def doctor(settings: Settings, _args: argparse.Namespace, console: Console) -> None:
    """What usually goes wrong; fails when something has."""
    checks = doctor_checks.doctor(settings)
    for check in checks:
        detail = sentence(check.found, console)
        if console.as_json:
            console.record(type="check", name=check.name, state=check.state, **as_json(check.found), detail=detail)
        else:
            state = console.tr(f"admin.check_{check.state}")
            console.line(f"{state:<8} {console.tr(f'check.{check.name}')}: {detail}")
    failed = [console.tr(f"check.{check.name}") for check in checks if check.state is State.FAILED]
    if failed:
        raise CommandError("doctor", {"names": ", ".join(failed)}, status=Exit.CONFIG)


def audit(settings: Settings, args: argparse.Namespace, console: Console) -> None:
    """Who did what, newest first."""
    found = commands.list_audit(settings, before=args.before, limit=args.limit + 1)
    for row in found[: args.limit]:
        if console.as_json:
            console.record(type="audit", id=row.id, ts_ms=row.ts, actor=row.actor, action=row.action, target=row.target)
        else:
            console.line(f"{row.id}  {moment(row.ts)}  {_actor(row, console)}  {_act(row, console)}  {row.target}")
    if not found and not console.as_json:
        console.say("admin.audit_none")
    tell_rest(console, found, args.limit, "before")


def _actor(row: AuditRow, console: Console) -> str:
    """The operator with the name of the system's user, or an account's uid."""
    who, _, name = row.actor.partition(":")
    return console.tr("audit.operator", name=one_line(name)).strip() if who == OPERATOR else row.actor


def _act(row: AuditRow, console: Console) -> str:
    """What was done; that of a newer program by its code."""
    key = f"cli.audit.{row.action}"
    return console.translator.tr(key) if console.translator.has(key) else row.action


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
