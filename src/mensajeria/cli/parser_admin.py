"""The arguments of `mensajeria admin`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from mensajeria.cli.argument_types import count, number

if TYPE_CHECKING:
    from mensajeria.cli.parser import Builder, Parser

PAGE: Final = 50
_PLAIN: Final = ("init", "migrate", "stats", "quotas", "doctor", "audit", "restored")
_FAMILIES: Final = {
    "invite": ("create", "list", "revoke"),
    "user": ("list", "show", "suspend", "unsuspend", "approve", "reject", "delete", "logout", "reset-identity"),
    "report": ("list", "resolve"),
    "retention": ("show", "run"),
    "keys": ("rotate",),
    "config": ("check", "show"),
    "backup": ("create", "verify", "restore"),
}


def add_admin_commands(builder: Builder) -> None:
    """Add them."""
    admin = builder.command("admin", "admin")
    tasks = builder.family(admin, "action", "admin", (*_PLAIN[:2], *_FAMILIES, *_PLAIN[2:]))
    for name in _PLAIN:
        _options(builder, tasks[name])
    _page(builder, tasks["audit"], "--before")
    builder.option(tasks["quotas"], "--limit", type=count, default=PAGE, metavar="N", key="quotas_limit")
    builder.option(tasks["quotas"], "--after", type=number, metavar="ID", key="quotas_after")
    for name, verbs in _FAMILIES.items():
        for verb, parser in builder.family(tasks[name], "verb", name, verbs).items():
            _options(builder, parser)
            if name == "backup":
                _backup_options(builder, verb, parser)
            else:
                _verb_options(builder, name, verb, parser)


def _page(builder: Builder, parser: Parser, start: str) -> None:
    """A list is told in pages: `--before` an id where the newest comes first, `--after` one where the oldest does."""
    builder.option(parser, "--limit", type=count, default=PAGE, metavar="N", key="page_limit")
    builder.option(parser, start, type=number, metavar="ID", key=f"page_{start.removeprefix('--')}")


def _options(builder: Builder, parser: Parser) -> None:
    builder.option(parser, "--data-dir", type=Path, metavar="DIR")
    builder.json(parser)


def _backup_options(builder: Builder, verb: str, parser: Parser) -> None:
    builder.option(parser, "path", type=Path, metavar="FILE|FOLDER", key=f"server_backup_{verb}_path")
    if verb == "create":
        builder.option(parser, "--without-secrets", action="store_true")
    if verb == "restore":
        builder.option(parser, "--epoch", type=number, metavar="N")


def _verb_options(builder: Builder, name: str, verb: str, parser: Parser) -> None:
    match name, verb:
        case "invite", "create":
            builder.option(parser, "--uses", type=count, default=1, metavar="N")
            builder.option(parser, "--days", type=count, default=7, metavar="N")
        case "invite", "revoke":
            builder.option(parser, "invite", metavar="ID", key="invite_id")
        case "config", "show":
            builder.option(parser, "--redacted", action="store_true")
        case "invite", "list":
            _page(builder, parser, "--before")
        case "user", "list":
            _page(builder, parser, "--after")
        case "user", _:
            _user_options(builder, verb, parser)
        case "report", "list":
            _page(builder, parser, "--after")
            builder.option(parser, "--all", action="store_true", key="report_all")
        case "report", "resolve":
            builder.option(parser, "report", type=number, metavar="ID", key="report_id")
            builder.option(parser, "note", metavar="NOTE", key="report_note")
        case "keys", _:
            builder.option(parser, "--channel", action="store_true")
        case _:
            return


def _user_options(builder: Builder, verb: str, parser: Parser) -> None:
    builder.option(parser, "user", metavar="USER", key="user_who")
    if verb in {"delete", "reset-identity"}:
        builder.option(parser, "--yes", action="store_true")
    if verb == "reset-identity":
        builder.option(parser, "--hours", type=count, default=24, metavar="N", key="reset_hours")
