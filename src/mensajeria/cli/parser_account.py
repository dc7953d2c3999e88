"""The arguments of the commands about an account: registering, logging in, its password, devices and invites."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from mensajeria.cli.argument_types import count, number, path_from, timer

if TYPE_CHECKING:
    from mensajeria.cli.parser import Builder, Parser


def add_account_commands(builder: Builder) -> None:
    """Add them."""
    for name in ("register", "login", "recover", "reset-identity"):
        _entrance(builder, name)
    _link(builder)
    _code(builder)
    _devices(builder)
    _health(builder)
    _privacy(builder)
    _backup(builder)
    _password(builder)
    _renewal(builder)
    _leaving(builder)
    _invites(builder)


def _entrance(builder: Builder, name: str) -> None:
    """A command that gives a profile its account."""
    parser = builder.command(name, "account")
    builder.option(parser, "--server", metavar="URL", required=name in {"recover", "reset-identity"})
    builder.option(parser, "--username", metavar="NAME", required=name != "login")
    builder.profile(parser)
    _password_file(builder, parser)
    builder.option(parser, "--device-name", metavar="NAME")
    insecure = os.environ.get("MENSAJERIA_INSECURE_HTTP") == "1"
    builder.option(parser, "--insecure-http", action="store_true", default=insecure)
    if name == "register":
        builder.option(parser, "--invite", metavar="TOKEN_OR_LINK")
    if name == "reset-identity":
        builder.option(parser, "--reset-code-file", type=Path, metavar="FILE")
    if name in {"register", "reset-identity"}:
        builder.option(parser, "--recovery-file", type=Path, metavar="FILE")
    if name == "recover":
        builder.option(parser, "--code-file", type=Path, metavar="FILE")
    builder.json(parser)


def _link(builder: Builder) -> None:
    """The other end of `devices link`."""
    link = builder.command("link", "account", key="link_command")
    builder.option(link, "--link-file", type=Path, metavar="FILE")
    builder.profile(link)
    _password_file(builder, link)
    builder.option(link, "--device-name", metavar="NAME")
    insecure = os.environ.get("MENSAJERIA_INSECURE_HTTP") == "1"
    builder.option(link, "--insecure-http", action="store_true", default=insecure)
    builder.waiting(link)
    builder.json(link)


def _code(builder: Builder) -> None:
    """What a command that was killed could not show any more."""
    code = builder.command("recovery-code", "account")
    builder.profile(code)
    builder.option(code, "--recovery-file", type=Path, metavar="FILE")
    builder.json(code)


def _password_file(builder: Builder, parser: Parser) -> None:
    default = path_from("MENSAJERIA_PASSWORD_FILE")
    builder.option(parser, "--password-file", type=Path, default=default, metavar="FILE")


def _approved(builder: Builder, parser: Parser) -> None:
    """What a change of the account needs: the password, and on a new device the recovery code."""
    builder.profile(parser)
    _password_file(builder, parser)
    builder.option(parser, "--code-file", type=Path, metavar="FILE")
    builder.waiting(parser)
    builder.json(parser)


def _devices(builder: Builder) -> None:
    devices = builder.command("devices", "devices")
    _approved(builder, devices)
    actions = ("list", "revoke", "rename", "confirm", "deny", "link")
    builder.option(devices, "action", nargs="?", choices=actions, default="list", key="devices_action")
    builder.option(devices, "device", nargs="?", metavar="DEVICE", key="devices_device")
    builder.option(devices, "name", nargs="?", metavar="NAME", key="devices_name")


def _health(builder: Builder) -> None:
    health = builder.command("health", "health", key="health_command")
    builder.profile(health)
    builder.json(health)


def _privacy(builder: Builder) -> None:
    privacy = builder.command("privacy", "privacy", key="privacy_command")
    for option in ("--read-receipts", "--typing", "--presence"):
        builder.option(privacy, option, choices=("on", "off"), key=f"privacy_{option[2:].replace('-', '_')}")
    builder.option(privacy, "--new-chats-timer", type=timer, metavar="SECONDS")
    builder.profile(privacy)
    builder.json(privacy)


def _backup(builder: Builder) -> None:
    backup = builder.command("backup", "backup")
    builder.profile(backup)
    actions = ("status", "create", "verify", "restore")
    builder.option(backup, "action", nargs="?", choices=actions, default="status", key="backup_action")
    builder.option(backup, "--file", type=Path, metavar="FILE", key="backup_file")
    builder.option(backup, "--backup-passphrase-file", type=Path, metavar="FILE")
    builder.option(backup, "--code-file", type=Path, metavar="FILE")
    builder.waiting(backup)
    builder.json(backup)


def _password(builder: Builder) -> None:
    password = builder.command("password", "ownership")
    _approved(builder, password)
    builder.option(password, "--new-password-file", type=Path, metavar="FILE")


def _renewal(builder: Builder) -> None:
    renewal = builder.command("renew-identity", "ownership")
    _approved(builder, renewal)
    builder.option(renewal, "--new-password-file", type=Path, metavar="FILE")


def _leaving(builder: Builder) -> None:
    logout = builder.command("logout", "ownership")
    builder.profile(logout)
    builder.option(logout, "--everywhere", action="store_true")
    builder.option(logout, "--erase", action="store_true")
    builder.waiting(logout)
    builder.json(logout)
    deletion = builder.command("delete-account", "ownership")
    _approved(builder, deletion)
    builder.option(deletion, "--confirm", metavar="NAME", required=True)


def _invites(builder: Builder) -> None:
    invite = builder.command("invite", "invites", key="invite_command")
    for verb, parser in builder.family(invite, "verb", "invite", ("create", "list", "revoke")).items():
        builder.profile(parser)
        if verb == "create":
            builder.option(parser, "--uses", type=count, default=1, metavar="N")
            builder.option(parser, "--days", type=count, default=7, metavar="N")
        elif verb == "revoke":
            builder.option(parser, "invite", type=number, metavar="ID", key="invite_id")
        builder.waiting(parser)
        builder.json(parser)
