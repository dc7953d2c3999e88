"""`mensajeria serve`: the server, until Ctrl+C or SIGTERM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mensajeria.cli.exit_codes import Exit
from mensajeria.cli.operator import foreseen, settings_from
from mensajeria.server.serve import serve

if TYPE_CHECKING:
    import argparse

    from mensajeria.cli.console import Console


def run(args: argparse.Namespace, console: Console) -> int:
    """Run the server; prints `listening on http://…` when it is ready."""
    with foreseen(console):
        settings = settings_from(
            host=args.host, port=args.port, data_dir=args.data_dir, workers=args.workers, migrate=args.migrate or None
        )
        serve(settings, say=console.line, say_invite=lambda token: console.say("admin.invite", token=token))
    return Exit.OK
