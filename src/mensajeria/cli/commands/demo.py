"""`mensajeria demo`: the product shown on this machine, with nothing left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mensajeria.cli.demo.stage import Stage
from mensajeria.cli.demo.story import tell_story
from mensajeria.cli.demo.windows import has_display, show_windows
from mensajeria.cli.exit_codes import Exit
from mensajeria.cli.stopping import stop_on_signals

if TYPE_CHECKING:
    import argparse

    from mensajeria.cli.console import Console


def run(args: argparse.Namespace, console: Console) -> int:
    """Windows where there is a display, else the same exchange told in the terminal. Ctrl-C ends it with 0."""
    in_terminal = args.terminal or not has_display()
    if in_terminal and not args.terminal:
        console.say("demo.no_display")
    with stop_on_signals(), Stage(args.keep) as stage:
        (tell_story if in_terminal else show_windows)(stage, console)
    console.line()
    if args.keep:
        console.say("demo.end_kept", path=args.keep)
    else:
        console.say("demo.end")
    return Exit.OK
