"""The arguments of the commands about people: what they tell of themselves, and not hearing of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mensajeria.cli.argument_types import message_id

if TYPE_CHECKING:
    from mensajeria.cli.parser import Builder


def add_people_commands(builder: Builder) -> None:
    """Add them."""
    _profile(builder)
    for name in ("block", "unblock", "blocked", "report"):
        parser = builder.command(name, "blocking", key=f"{name}_command")
        builder.profile(parser)
        if name != "blocked":
            builder.option(parser, "person", metavar="USER", key="block_person")
        if name == "report":
            builder.option(parser, "words", metavar="WORDS", key="report_words")
            builder.option(parser, "--with", metavar="USER_OR_CHAT", dest="peer", key="report_with")
            builder.option(
                parser, "--message", type=message_id, action="append", default=[], metavar="MID", dest="messages",
                key="report_message",
            )  # fmt: skip
            builder.option(parser, "--dry-run", action="store_true", key="report_dry_run")
        builder.waiting(parser)
        builder.json(parser)


def _profile(builder: Builder) -> None:
    actions = builder.family(
        builder.command("profile", "profiles", key="profile_command"), "action", "profile", ("show", "set")
    )
    show, change = actions["show"], actions["set"]
    builder.option(show, "person", nargs="?", metavar="USER", key="profile_person")
    builder.option(show, "--picture", type=Path, metavar="FILE", key="profile_save_picture")
    builder.option(show, "--offline", action="store_true")
    builder.option(change, "--name", metavar="TEXT", key="profile_name")
    builder.option(change, "--status", metavar="TEXT", key="profile_status")
    builder.option(change, "--picture", type=Path, metavar="FILE", key="profile_picture")
    builder.option(change, "--no-picture", action="store_true", key="profile_no_picture")
    builder.option(change, "--no-wait", action="store_true", key="profile_no_wait")
    for parser in actions.values():
        builder.profile(parser)
        builder.waiting(parser)
        builder.json(parser)
