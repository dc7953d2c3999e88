"""`mensajeria admin user`: looking at accounts, and what an operator may do with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from mensajeria.cli.display import moment
from mensajeria.cli.failure import CommandError, UsageError
from mensajeria.cli.terminal import one_line
from mensajeria.server.admin import users
from mensajeria.server.admin.records import UserDetails
from mensajeria.server.admin.users import UserStateError

if TYPE_CHECKING:
    import argparse

    from mensajeria.cli.console import Console
    from mensajeria.server.settings import Settings

Act = Callable[["Settings", str], None]
_ACTS: Final[dict[str, Act]] = {
    "suspend": users.suspend_user,
    "unsuspend": users.unsuspend_user,
    "approve": users.approve_user,
    "reject": users.reject_user,
    "delete": users.delete_user,
    "logout": users.log_out_user,
}


def status_name(status: str, console: Console) -> str:
    """How it stands with an account."""
    return console.tr(f"account_status.{status}")


def show(settings: Settings, args: argparse.Namespace, console: Console) -> None:
    """One account with its devices."""
    try:
        found = users.show_user(settings, args.user)
    except LookupError as error:
        raise CommandError("unknown_user") from error
    if console.as_json:
        console.record(**_record(found))
        return
    created = moment(found.created_ms)
    status = status_name(found.status, console)
    line = {"handle": found.handle, "status": status, "devices": len(found.devices), "created": created}
    console.say("admin.user_line", **line)
    console.say("admin.user_details", uid=found.uid.hex(), chats=found.chats, inviter=found.invited_by or "—")
    for one in found.devices:
        state = console.tr(f"admin.device_{'revoked' if one.revoked_ms else 'in' if one.logged_in else 'out'}")
        seen = moment(one.last_seen_ms)
        console.say("admin.device_line", did=one.did.hex(), name=one_line(one.name), state=state, seen=seen)


def _record(found: UserDetails) -> dict[str, object]:
    devices = [
        {
            "did": one.did.hex(),
            "name": one.name,
            "created_ms": one.created_ms,
            "last_seen_ms": one.last_seen_ms,
            "revoked_ms": one.revoked_ms,
            "logged_in": one.logged_in,
            "mail_bytes": one.mail_bytes,
        }
        for one in found.devices
    ]
    return {
        "type": "user",
        "uid": found.uid.hex(),
        "handle": found.handle,
        "status": found.status,
        "created_ms": found.created_ms,
        "list_ver": found.list_ver,
        "invited_by": found.invited_by,
        "chats": found.chats,
        "devices": devices,
    }


def reset_identity(settings: Settings, args: argparse.Namespace, console: Console) -> None:
    """Let an account get a new identity; the code is told once."""
    if not args.yes:
        raise UsageError("reset_needs_yes")
    try:
        made = users.allow_identity_reset(settings, args.user, hours=args.hours)
    except LookupError as error:
        raise CommandError("unknown_user") from error
    except UserStateError as error:
        raise CommandError("user_state", {"status": status_name(error.status, console)}) from error
    except ValueError as error:
        raise UsageError("reset_hours", most=str(users.MAX_RESET_HOURS)) from error
    if console.as_json:
        console.record(type="identity_reset", user=made.handle, code=made.text, expires_ms=made.expires_ms)
        return
    console.say("admin.user_reset-identity", user=made.handle, until=moment(made.expires_ms))
    console.line(f"\n    {console.ink.bold(made.text)}\n")
    console.say("admin.reset_advice", user=made.handle)


def act(settings: Settings, args: argparse.Namespace, console: Console) -> None:
    """Suspend, approve, delete, ..."""
    if args.verb == "delete" and not args.yes:
        raise UsageError("needs_yes")
    try:
        _ACTS[args.verb](settings, args.user)
    except LookupError as error:
        raise CommandError("unknown_user") from error
    except UserStateError as error:
        raise CommandError("user_state", {"status": status_name(error.status, console)}) from error
    if console.as_json:
        console.record(type="user_changed", action=args.verb, user=args.user)
    else:
        console.say(f"admin.user_{args.verb}", user=one_line(args.user))
