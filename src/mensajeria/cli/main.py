"""Entry point of the command `mensajeria`."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from mensajeria.cli.console import Console
from mensajeria.cli.exit_codes import Exit
from mensajeria.cli.failure import CommandError
from mensajeria.cli.language import translator_of
from mensajeria.cli.parser import build
from mensajeria.kit.process import forbid_core_dumps

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status (`mensajeria.cli.exit_codes`)."""
    forbid_core_dumps()
    translator = translator_of(os.environ)
    argv = sys.argv[1:] if argv is None else argv
    parser = build(translator, argv)
    try:
        args = parser.parse_args(argv)
    except SystemExit as stop:  # argparse ends --help and complaints this way
        return int(stop.code or 0)
    if args.version:
        return _print_version()
    if args.command is None:
        parser.print_help()
        return Exit.USAGE
    return _run(args, Console(translator, as_json=getattr(args, "json", False)))


def _run(args: argparse.Namespace, console: Console) -> int:
    try:
        command = import_module(f"mensajeria.cli.commands.{args.module}")
        return int(command.run(args, console))
    except CommandError as error:
        console.fail(error)
        return error.status
    except KeyboardInterrupt:
        return Exit.OK
    except BrokenPipeError:  # `mensajeria history | head`: nobody reads any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except ModuleNotFoundError as error:
        if args.debug:
            raise
        console.fail(CommandError("not_installed", {"name": error.name}))
        return Exit.NOT_INSTALLED
    except Exception as error:
        if args.debug:
            raise
        console.fail(CommandError("bug", {"name": type(error).__name__}, status=Exit.INTERNAL))
        return Exit.INTERNAL


def _print_version() -> int:
    from importlib.metadata import version  # noqa: PLC0415 - not needed by any other command

    print(f"mensajeria {version('mensajeria')}")
    return Exit.OK


if __name__ == "__main__":
    sys.exit(main())
