"""The arguments of `mensajeria group`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mensajeria.cli.parser import Builder, Parser

ACTIONS: Final = ("create", "members", "add", "remove", "leave", "role", "rename", "picture", "recreate")

HISTORY: Final = ("none", "24h", "7d", "all")


def add_group_command(builder: Builder) -> None:
    """`group` and what it can do."""
    group = builder.command("group", "group")
    actions = builder.family(group, "action", "group", ACTIONS)
    for name, parser in actions.items():
        builder.profile(parser)
        builder.waiting(parser)
        builder.json(parser)
        if name != "create":
            builder.option(parser, "group", metavar="GROUP", key="group_group")
    builder.option(actions["create"], "name", metavar="NAME", key="group_name")
    _people(builder, actions["create"], "*")
    _people(builder, actions["add"], "+")
    builder.option(actions["add"], "--history", choices=HISTORY, default=HISTORY[0], key="group_history")
    for name in ("remove", "role"):
        builder.option(actions[name], "user", metavar="USER", key="group_user")
    builder.option(actions["role"], "role", choices=("owner", "admin", "member"), key="group_new_role")
    builder.option(actions["rename"], "name", metavar="NAME", key="group_name")
    builder.option(actions["picture"], "file", nargs="?", type=Path, metavar="FILE", key="group_picture_file")
    for name in ("create", "rename"):
        builder.option(actions[name], "--description", metavar="TEXT", key="group_description")


def _people(builder: Builder, parser: Parser, count: str) -> None:
    builder.option(parser, "users", nargs=count, metavar="USER", key="group_users")
