"""`mensajeria admin`: the operator's tasks. They work beside a running server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mensajeria.cli.commands import admin_backup, admin_care, admin_content, admin_users
from mensajeria.cli.commands.admin_pages import tell_rest
from mensajeria.cli.commands.admin_users import status_name
from mensajeria.cli.display import moment
from mensajeria.cli.exit_codes import Exit
from mensajeria.cli.failure import CommandError, UsageError
from mensajeria.cli.operator import foreseen, settings_from
from mensajeria.cli.terminal import one_line
from mensajeria.kit.clock import SystemClock
from mensajeria.protocol.ids import b64
from mensajeria.server.accounts.invites import USES_MAX
from mensajeria.server.admin import commands

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from mensajeria.cli.console import Console
    from mensajeria.server.accounts.invites import InviteRow
    from mensajeria.server.settings import Settings


def run(args: argparse.Namespace, console: Console) -> int:
    """Do the task that was asked for."""
    with foreseen(console):
        settings = settings_from(data_dir=args.data_dir)
        _TASKS[args.action, getattr(args, "verb", None)](settings, args, console)
    return Exit.OK


def _init(settings: Settings, _args: argparse.Namespace, console: Console) -> None:
    made = commands.initialise(settings)
    token = None if made.invite is None else b64(made.invite.reveal())
    if console.as_json:
        console.record(
            type="server",
            server_id=made.server_id.hex(),
            data_dir=str(settings.data_dir),
            registration=made.registration,
            created=made.created,
            invite=token,
        )
        return
    console.say("admin.initialised", path=settings.data_dir)
    if token is not None:
        console.say("admin.invite", token=token)


def _migrate(settings: Settings, _args: argparse.Namespace, console: Console) -> None:
    done = commands.migrate_database(settings)
    if console.as_json:
        console.record(type="migrated", before=done.before, after=done.after)
    else:
        console.say("admin.migrated", revision=done.after)


def _create_invite(settings: Settings, args: argparse.Namespace, console: Console) -> None:
    try:
        made = commands.create_invite(settings, uses=args.uses, days=args.days)
    except ValueError as error:
        raise UsageError("invite_uses", most=str(USES_MAX)) from error
    if console.as_json:
        console.record(type="invite", id=made.id, token=made.text, uses_left=made.uses, expires_ms=made.expires_ms)
    else:
        console.say("admin.invite", token=made.text)


def _list_invites(settings: Settings, args: argparse.Namespace, console: Console) -> None:
    found = commands.list_invites(settings, before=args.before, limit=args.limit + 1)
    for invite in found[: args.limit]:
        if console.as_json:
            console.record(
                type="invite",
                id=invite.id,
                uses_left=invite.uses_left,
                created_ms=invite.created_ms,
                expires_ms=invite.expires_ms,
                state=_state(invite),
                created_by=invite.created_by,
            )
        else:
            state = console.tr(f"admin.invite_{_state(invite)}")
            expires = moment(invite.expires_ms)
            console.say("admin.invite_line", id=invite.id, uses=invite.uses_left, expires=expires, state=state)
    if not found and not console.as_json:
        console.say("admin.invite_none")
    tell_rest(console, found, args.limit, "before")


def _state(invite: InviteRow) -> str:
    return invite.state(SystemClock().now_ms())


def _revoke_invite(settings: Settings, args: argparse.Namespace, console: Console) -> None:
    if not (args.invite.isascii() and args.invite.isdigit() and len(args.invite) <= 18):  # noqa: PLR2004 - 64 bits
        raise CommandError("not_found")
    try:
        commands.revoke_invite(settings, int(args.invite))
    except LookupError as error:
        raise CommandError("not_found") from error
    if console.as_json:
        console.record(type="revoked", id=int(args.invite))
    else:
        console.say("admin.revoked", id=args.invite)


def _list_users(settings: Settings, args: argparse.Namespace, console: Console) -> None:
    found = commands.list_users(settings, after=args.after or 0, limit=args.limit + 1)
    for user in found[: args.limit]:
        if console.as_json:
            console.record(
                type="user",
                uid=user.uid.hex(),
                handle=user.handle,
                status=user.status,
                created_ms=user.created_ms,
                devices=user.devices,
                last_seen_ms=user.last_seen_ms,
            )
        else:
            created, status = moment(user.created_ms), status_name(user.status, console)
            console.say("admin.user_line", handle=user.handle, status=status, devices=user.devices, created=created)
    if not found and not console.as_json:
        console.say("admin.user_none")
    tell_rest(console, found, args.limit, "after")


def _check_config(_settings: Settings, _args: argparse.Namespace, console: Console) -> None:
    """That the settings could be read is the check."""
    if console.as_json:
        console.record(type="config", valid=True)
    else:
        console.say("admin.config_good")


def _show_config(settings: Settings, _args: argparse.Namespace, console: Console) -> None:
    """Secrets are never shown, whatever the options say."""
    for setting in commands.show_settings(settings):
        if console.as_json:
            console.record(type="setting", name=setting.name, value=setting.value, default=setting.is_default)
        else:
            line = f"{setting.name}={one_line(setting.value)}"
            console.line(console.ink.dim(line) if setting.is_default else line)


_TASKS: Final[dict[tuple[str, str | None], Callable[[Settings, argparse.Namespace, Console], None]]] = {
    ("init", None): _init,
    ("migrate", None): _migrate,
    ("invite", "create"): _create_invite,
    ("invite", "list"): _list_invites,
    ("invite", "revoke"): _revoke_invite,
    ("user", "list"): _list_users,
    ("user", "show"): admin_users.show,
    **{("user", verb): admin_users.act for verb in ("suspend", "unsuspend", "approve", "reject", "delete", "logout")},
    ("user", "reset-identity"): admin_users.reset_identity,
    ("keys", "rotate"): admin_care.rotate_keys,
    ("stats", None): admin_care.stats,
    ("doctor", None): admin_care.doctor,
    ("audit", None): admin_care.audit,
    ("quotas", None): admin_content.quotas,
    ("restored", None): admin_content.declare_restored,
    ("report", "list"): admin_content.list_reports,
    ("report", "resolve"): admin_content.resolve_report,
    ("retention", "show"): admin_content.show_retention,
    ("retention", "run"): admin_content.run_retention,
    ("backup", "create"): admin_backup.make,
    ("backup", "verify"): admin_backup.check,
    ("backup", "restore"): admin_backup.put_back,
    ("config", "check"): _check_config,
    ("config", "show"): _show_config,
}
