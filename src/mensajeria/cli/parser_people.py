"""The arguments of the commands about people one does not want to hear of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mensajeria.cli.argument_types import message_id

if TYPE_CHECKING:
    from mensajeria.cli.parser import Builder


def add_people_commands(builder: Builder) -> None:
    """Add them."""
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
